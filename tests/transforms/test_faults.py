"""Faults: nothing at severity 0, more and more after it, and the same draw wherever it is made."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_brain.data import phantoms
from monai_brain.errors import ConfigurationError, UnknownNameError
from monai_brain.transforms import faults

SEVERITIES = (0, *faults.SEVERITIES)
HEADS = [p.image.astype(np.float32) for p in phantoms.brain(4, 3, 96)]
BREASTS = [p.image.astype(np.float32) for p in phantoms.mammogram(4, 3, 96)]
IMAGES = {"MR": HEADS, "MG": BREASTS}
EVERY = [(modality, name) for modality, found in faults.FAULTS.items() for name in found]


def test_every_fault_has_a_modality_and_each_modality_has_its_own():
    assert set(faults.names()) == set(faults.names("MR")) | set(faults.names("MG"))
    assert {"rician_noise", "bias_field", "gibbs_ringing", "kspace_spikes", "motion", "ghosting"} <= (
        set(faults.names("MR")) - set(faults.names("MG"))
    )
    assert {"blur", "contrast", "rotation", "jpeg", "down_sampling"} <= set(faults.names("MG"))


@pytest.mark.parametrize("name", faults.names())
def test_severity_0_is_the_image(name):
    for image in (HEADS[0], HEADS[0][:70], np.zeros((32, 32), np.float32)):
        found = faults.apply(image, name, 0, 5)
        assert found is not image
        np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize(("modality", "name"), EVERY)
def test_the_distance_grows_with_the_severity(modality, name):
    for seed, image in enumerate(IMAGES[modality]):
        made = [faults.apply(image, name, severity, seed) for severity in SEVERITIES]
        distances = [float(np.sqrt(np.mean((one - image) ** 2))) for one in made]
        assert distances[0] == 0
        assert distances[1] > 0.25, (name, seed)
        assert all(np.diff(distances) > 0), (name, seed, distances)
        assert distances[5] > 1.7 * distances[1], (name, seed, distances)
        for one in made:
            assert one.shape == image.shape
            assert one.dtype == np.float32
            assert one.min() >= 0
            assert one.max() <= 255


@pytest.mark.parametrize("name", faults.names())
def test_odd_shapes_and_flat_images_are_borne(name):
    for image in (np.full((33, 48), 90, np.float32), np.zeros((32, 21), np.float32), HEADS[1][:71, :50]):
        found = faults.apply(image, name, 5, 1)
        assert found.shape == image.shape
        assert np.isfinite(found).all()


DRAWN = [name for name in faults.names() if name not in ("gibbs_ringing", "blur", "jpeg", "down_sampling")]


@pytest.mark.parametrize("name", DRAWN)
def test_the_draw_hangs_on_seed_and_case_alone(name):
    image = HEADS[2]
    first = faults.apply(image, name, 4, 7, "a")
    np.random.seed(3)
    torch.manual_seed(3)
    faults.apply(HEADS[1], name, 2, 9)
    np.testing.assert_array_equal(faults.apply(image, name, 4, 7, "a"), first)
    other = [
        faults.apply(image, name, 4, seed, case) for seed, case in [(s, c) for s in (7, 8, 9) for c in "bcd"]
    ]
    assert any(not np.array_equal(one, first) for one in other)
    assert not np.array_equal(faults.apply(image, name, 4, 7), faults.apply(HEADS[3], name, 4, 7))


def test_the_same_in_another_process(tmp_path):
    np.save(tmp_path / "image.npy", HEADS[0])
    program = (
        "import sys, numpy as np\nfrom monai_brain.transforms import faults\n"
        "image = np.load(sys.argv[1])\n"
        "np.save(sys.argv[2], [faults.apply(image, name, 3, 11, 'x') for name in faults.names()])\n"
    )
    paths = [str(tmp_path / "image.npy"), str(tmp_path / "made.npy")]
    subprocess.run([sys.executable, "-c", program, *paths], check=True)
    here = [faults.apply(HEADS[0], name, 3, 11, "x") for name in faults.names()]
    np.testing.assert_array_equal(np.load(paths[1]), here)


def test_rician_noise_is_rician():
    """In air the magnitude of complex noise is Rayleigh: mean sqrt(pi / 2) standard deviations."""
    air = faults.apply(np.zeros((256, 256), np.float32), "rician_noise", 3, 0)
    assert air.mean() == pytest.approx(20 * np.sqrt(np.pi / 2), rel=0.02)
    assert np.sqrt((air**2).mean()) == pytest.approx(20 * np.sqrt(2), rel=0.02)


def test_quantum_noise_grows_with_the_square_root_of_the_grey_value():
    dark, bright = (
        faults.apply(np.full((256, 256), g, np.float32), "quantum_noise", 1, 0) for g in (40, 160)
    )
    assert bright.std() / dark.std() == pytest.approx(2, rel=0.03)


def test_a_ghost_is_a_displaced_copy_of_the_stated_strength():
    image = np.zeros((60, 60), np.float32)
    image[28:32, 28:32] = 100
    for seed in range(6):
        found = faults.apply(image, "ghosting", 5, seed)
        np.testing.assert_allclose(found[28:32, 28:32], 100, atol=0.01)
        lit = np.argwhere(found > 1)
        axis = int(np.ptp(lit[:, 0]) < np.ptp(lit[:, 1]))
        assert np.ptp(lit[:, 1 - axis]) == 3, "copies lie along one axis"
        away = {abs(int(place) - 28) for place in lit[:, axis]} - {0, 1, 2, 3}
        assert away & {10, 12, 15, 20}, "a third to a sixth of the image away"
        ghost = found[(found > 1) & (image == 0)]
        np.testing.assert_allclose(ghost, 40, atol=0.01)


def test_rotation_is_by_the_stated_angle():
    image = np.zeros((101, 101), np.float32)
    image[48:53, 20:81] = 200
    turned = faults.apply(image, "rotation", 3, 0)
    rows, columns = np.nonzero(turned > 60)
    slope = np.polyfit(columns, rows, 1)[0]
    assert abs(np.rad2deg(np.arctan(slope))) == pytest.approx(10, abs=0.5)


def test_jpeg_is_jpeg_of_the_stated_quality():
    eight_bits = BREASTS[0].astype(np.uint8)
    written = cv2.imencode(".jpg", eight_bits, [cv2.IMWRITE_JPEG_QUALITY, 22])[1]
    expected = cv2.imdecode(written, cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(faults.apply(BREASTS[0], "jpeg", 3, 0), expected)


def test_the_transforms_give_what_the_function_gives():
    image = HEADS[0]
    expected = faults.apply(image, "motion", 3, 4, "abc")
    item = {"image": MetaTensor(torch.from_numpy(image[None])), "sha256": "abc", "label": 1}
    made = faults.Faultd("image", "motion", 3, 4)(item)
    assert isinstance(made["image"], MetaTensor)
    assert made["label"] == 1
    np.testing.assert_array_equal(made["image"].numpy()[0], expected)
    np.testing.assert_array_equal(item["image"].numpy()[0], image)
    array = faults.Fault("motion", 3, 4)(np.stack([image, image]), "abc")
    assert isinstance(array, np.ndarray)
    np.testing.assert_array_equal(array, np.stack([expected, expected]))


def test_channels_share_one_draw():
    found = faults.Fault("dead_lines", 5, 0)(np.stack([np.full((40, 40), g, np.float32) for g in (100, 200)]))
    np.testing.assert_array_equal(found[0] == 0, found[1] == 0)


def test_nonsense_is_refused():
    with pytest.raises(UnknownNameError, match="motion"):
        faults.apply(HEADS[0], "motoin", 1, 0)
    with pytest.raises(UnknownNameError, match="MR"):
        faults.names("MRI")
    for severity in (6, -1, 2.5, True):
        with pytest.raises(ConfigurationError, match="severity"):
            faults.Fault("blur", severity)
    with pytest.raises(ConfigurationError, match=r"\(H, W\)"):
        faults.apply(HEADS[0][None], "blur", 1, 0)
    with pytest.raises(ConfigurationError, match="finite"):
        faults.apply(np.full((8, 8), np.nan), "blur", 1, 0)
    with pytest.raises(ConfigurationError, match="seed"):
        faults.Faultd("image", "blur", 1, seed=-1)

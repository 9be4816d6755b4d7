"""One slice in many formats: the same answer, and the same place for the evidence."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from scipy.io import savemat

import monai_brain as mb
from monai_brain.inference import archive
from monai_brain.inference.predict import predict
from monai_brain.testing.tiny import tiny_bundle

pytest.importorskip("pydicom")
itk = pytest.importorskip("itk")

LESION = (slice(20, 34), slice(44, 58))  # away from every axis of symmetry


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("models") / "tiny", weights=True)


@pytest.fixture(scope="module")
def slice_8():
    """An 8-bit slice with one bright lesion that uses the whole range."""
    image = np.random.default_rng(0).integers(0, 60, (72, 72)).astype(np.uint8)
    image[LESION] = np.random.default_rng(1).integers(200, 256, (14, 14))
    image[0, 0], image[25, 50] = 0, 255
    return image


def png(path, image):
    assert cv2.imwrite(str(path), image)
    return path


def nifti(path, image, axes=(0, 1), signs=(1, 1)):
    """A slice stored with its file axes along the given LPS axes, turned as the header says."""
    stored = image.T  # index by x (to the left), y (to the back)
    for axis, sign in enumerate(signs):
        stored = np.flip(stored, axis) if sign < 0 else stored
    stored = stored.transpose(axes)
    direction = np.zeros((3, 3))
    direction[2, 2] = 1
    for number, axis in enumerate(axes):
        direction[axis, number] = signs[axis]
    volume = itk.image_from_array(np.ascontiguousarray(stored.T[None]))
    volume.SetDirection(itk.matrix_from_array(direction))
    itk.imwrite(volume, str(path))
    return path


def probabilities(tiny, path):
    [row] = predict(tiny, path).predictions
    return np.array(list(row.probs.values())), row.predicted


def test_the_same_8_bits_in_png_dicom_and_nifti(tiny, slice_8, dicom, tmp_path):
    expected, label = probabilities(tiny, png(tmp_path / "a.png", slice_8))
    for path in (
        dicom("a.dcm", slice_8),
        nifti(tmp_path / "a.nii", slice_8),
        nifti(tmp_path / "a.nii.gz", slice_8),
    ):
        found, said = probabilities(tiny, path)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert said == label


def test_other_depths_of_the_same_slice(tiny, slice_8, dicom, tmp_path):
    expected, label = probabilities(tiny, png(tmp_path / "a.png", slice_8))
    wide = slice_8.astype(np.uint16) * 16
    mask = np.zeros_like(slice_8)
    record = {"label": 1.0, "PID": "p1", "image": slice_8.astype(np.int16) * 40 + 300, "tumorMask": mask}
    savemat(tmp_path / "a.mat", {"cjdata": record})
    forms = [
        tmp_path / "a.mat",
        dicom(
            "wide.dcm", wide, BitsStored=12, HighBit=11, RescaleSlope=2, RescaleIntercept=-100,
            WindowCenter=900, WindowWidth=700,
        ),
        nifti(tmp_path / "float.nii", slice_8.astype(np.float32) / 255),
    ]  # fmt: skip
    for path in forms:
        found, said = probabilities(tiny, path)
        np.testing.assert_allclose(found, expected, atol=0.01)
        assert said == label


def test_an_orientation_in_the_header_does_not_move_the_map_off_the_lesion(tiny, slice_8, dicom, tmp_path):
    pytest.importorskip("pytorch_grad_cam")
    plain = png(tmp_path / "a.png", slice_8)
    peaks = {}
    for name in tiny.labels:
        heat = next(mb.explain(tiny, plain, target=name)).heat
        peaks[name] = np.unravel_index(int(heat.argmax()), heat.shape)
    around = (range(LESION[0].start - 4, LESION[0].stop + 4), range(LESION[1].start - 4, LESION[1].stop + 4))
    seeing = [name for name, at in peaks.items() if at[0] in around[0] and at[1] in around[1]]
    assert seeing
    expected = next(mb.explain(tiny, plain, target=seeing[0]))
    turned = [
        nifti(tmp_path / f"{axes[0]}{first}{second}.nii", slice_8, axes, (first, second))
        for axes in ((0, 1), (1, 0))
        for first in (1, -1)
        for second in (1, -1)
    ]
    for path in [*turned, dicom("a.dcm", slice_8)]:
        found = next(mb.explain(tiny, path, target=seeing[0]))
        np.testing.assert_array_equal(found.image, expected.image)
        np.testing.assert_allclose(found.heat, expected.heat, atol=1e-5)


@pytest.fixture
def volume(tmp_path, slice_8):
    """A volume of six axial slices: the first is empty, the others brighter from one to the next."""
    planes = np.stack([np.clip(slice_8.astype(float) * number / 5, 0, 255) for number in range(6)]).astype(
        np.uint8
    )
    image = itk.image_from_array(planes)
    itk.imwrite(image, str(tmp_path / "volume.nii.gz"))
    return tmp_path / "volume.nii.gz", planes


def test_a_volume_is_answered_by_slice_and_as_a_whole(tiny, volume, tmp_path):
    path, planes = volume
    archive.answer(tiny, path, tmp_path / "out")
    [line] = [
        json.loads(text) for text in (tmp_path / "out" / "results.jsonl").read_text("utf-8").splitlines()
    ]
    by_slice = [
        probabilities(tiny, png(tmp_path / f"{number}.png", planes[number]))[0] for number in range(1, 6)
    ]
    assert line["status"] == "done"
    assert list(line["probabilities"].values()) == pytest.approx(np.mean(by_slice, axis=0), abs=1e-5)
    assert line["rule"].startswith("the mean of the probabilities over the slices")
    assert line["slices_left_out"] == {"no contrast: every pixel is 0": 1}
    rows = predict(tiny, path).predictions
    assert list(rows.case) == [f"volume.nii.gz frame {number}" for number in range(1, 6)]
    assert set(rows.plane) == {"axial"}
    assert set(rows.group) == {"volume.nii.gz"}
    np.testing.assert_allclose(rows.probs, by_slice, atol=1e-6)
    across = predict(tiny, path, plane="coronal").predictions
    assert len(across) == 72


def test_frames_of_dicom_are_answered_one_by_one(tiny, dicom, slice_8):
    frames = np.stack([slice_8, slice_8[::-1], slice_8.T])
    path = dicom("several.dcm", frames, NumberOfFrames=3)
    rows = predict(tiny, path).predictions
    assert [name.rpartition(" frame ")[2] for name in rows.case] == ["0", "1", "2"]
    single = predict(
        tiny, [dicom(f"{number}.dcm", np.ascontiguousarray(frames[number])) for number in range(3)]
    )
    np.testing.assert_allclose(rows.probs, single.predictions.probs, atol=1e-6)


def test_the_value_of_a_model_that_knows_tumours_alone_says_what_it_assumes(tiny_like, volume, tmp_path):
    model = tiny_like("brain_tumor_efficientnet_b2")
    answers = predict(model, volume[0])
    assert answers.inputs[0].value["assumes"] == "a tumour-bearing slice"

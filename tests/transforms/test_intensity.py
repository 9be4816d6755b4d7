"""The transforms of grey values beside plain loops, OpenCV and known fields; odd images; pickles."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose, NormalizeIntensity

from monai_brain.errors import ConfigurationError, DataError, MissingExtraError, UnknownNameError
from monai_brain.transforms import bias_field, colour_plane, landmarks, local_contrast, zscore
from monai_brain.transforms.foreground import foreground
from monai_brain.transforms.landmarks import LandmarkHistogram, learned

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (3, 7, 9), dtype=np.uint8)


def slice_of(seed=0, size=64, bright=150.0, spread=20.0):
    """A bright disc with texture on a dark noisy ground, (1, H, W) float32 on 0..255."""
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size] - size / 2
    disc = rows**2 + columns**2 < (size * 0.38) ** 2
    image = np.where(disc, draw.normal(bright, spread, disc.shape), draw.normal(6, 3, disc.shape))
    return image.clip(0, 255).astype(np.float32)[None], disc


STANDARD = learned([slice_of(seed, bright=100 + 20 * seed)[0] for seed in range(5)])
PAIRS = {
    "plane": (colour_plane.ColourPlane, colour_plane.ColourPlaned, {"plane": "luma"}),
    "zscore": (zscore.ForegroundZScore, zscore.ForegroundZScored, {"clip": 3.0}),
    "landmarks": (LandmarkHistogram, landmarks.LandmarkHistogramd, {"landmarks": STANDARD}),
    "contrast": (local_contrast.LocalContrast, local_contrast.LocalContrastd, {"limit": 3.0}),
    "field": (bias_field.EvenField, bias_field.EvenFieldd, {"iterations": (5, 5)}),
}
ODD = {
    "constant": np.full((1, 20, 20), 7, np.float32),
    "zeros": np.zeros((1, 20, 20), np.float32),
    "one pixel": np.full((1, 1, 1), 9, np.float32),
    "two pixels": np.array([[[0, 255]]], np.float32),
    "tiny": np.arange(6, dtype=np.float32).reshape(1, 2, 3),
    "narrow": RNG.random((1, 1, 300)).astype(np.float32) * 255,
    "no rows": np.zeros((1, 0, 5), np.float32),
    "no channels": np.zeros((0, 4, 5), np.float32),
    "two values": np.repeat([[[10.0, 200.0]]], 40, 1).repeat(20, 2).astype(np.float32),
}
KINDS = {
    "numpy": np.asarray,
    "torch": torch.as_tensor,
    "meta": lambda a: MetaTensor(torch.as_tensor(a), meta={"a": 1}),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("kind", KINDS)
def test_both_forms_agree_keep_the_kind_and_leave_the_input(name, kind):
    array_form, dict_form, options = PAIRS[name]
    image = KINDS[kind](slice_of()[0])
    before = np.array(image)
    result = array_form(**options)(image)
    assert type(result) is type(image)
    assert np.isfinite(np.asarray(result)).all()
    np.testing.assert_array_equal(np.asarray(image), before)
    if kind == "meta":
        assert result.meta["a"] == 1
    item = dict_form("image", allow_missing_keys=True, **options)({"image": image, "other": 3})
    np.testing.assert_array_equal(np.asarray(item["image"]), np.asarray(result))
    assert item["other"] == 3
    assert dict_form(["image", "absent"], allow_missing_keys=True, **options)({"image": image}).keys() == {
        "image"
    }
    with pytest.raises(KeyError):
        dict_form("absent", **options)({"image": image})


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("odd", ODD)
def test_odd_images_come_back_finite_and_in_their_shape(name, odd):
    array_form, _, options = PAIRS[name]
    image = ODD[odd]
    if name == "plane" and not image.shape[0]:
        with pytest.raises(DataError, match="channels"):
            array_form(**options)(image)
        return
    result = array_form(**options)(image.copy())
    assert result.shape == image.shape
    assert np.isfinite(result).all()


@pytest.mark.parametrize("name", PAIRS)
def test_they_travel_and_stand_in_recipes(name):
    array_form, dict_form, options = PAIRS[name]
    image = slice_of(3)[0]
    expected = np.asarray(array_form(**options)(image))
    config = {"_target_": f"{dict_form.__module__}.{dict_form.__name__}", "keys": "image", **options}
    from_recipe = ConfigParser({"x": config}).get_parsed_content("x")
    for made in (
        pickle.loads(pickle.dumps(dict_form("image", **options))),
        from_recipe,
        Compose([from_recipe]),
    ):
        np.testing.assert_array_equal(np.asarray(made({"image": image})["image"]), expected)


@pytest.mark.parametrize("name", [name for name in PAIRS if name != "plane"])
def test_channels_and_half_precision(name):
    array_form, _, options = PAIRS[name]
    two = np.concatenate([slice_of(1)[0], slice_of(2)[0]])
    result = array_form(**options)(two)
    if name != "landmarks":  # one histogram for all channels
        np.testing.assert_allclose(result[1:], array_form(**options)(two[1:]), rtol=1e-6)
    half = array_form(**options)(torch.as_tensor(two).bfloat16())
    assert half.dtype == torch.float32
    assert torch.isfinite(half).all()


# -- one plane of a colour image


@pytest.mark.parametrize("plane", ["red", "green", "blue"])
def test_a_plane_is_that_channel(plane):
    result = colour_plane.ColourPlane(plane)(COLOUR)
    np.testing.assert_array_equal(result[0], COLOUR[["red", "green", "blue"].index(plane)])
    assert result.dtype == np.uint8


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, lambda a: MetaTensor(torch.as_tensor(a))])
def test_luma_is_opencvs_grey(kind):
    expected = cv2.cvtColor(np.ascontiguousarray(COLOUR.transpose(1, 2, 0)), cv2.COLOR_RGB2GRAY)
    result = colour_plane.ColourPlane()(kind(COLOUR))
    assert str(result.dtype).endswith("uint8")
    np.testing.assert_allclose(np.asarray(result[0]).astype(int), expected, atol=1)
    floats = colour_plane.ColourPlane()(kind(COLOUR.astype(np.float32)))
    np.testing.assert_allclose(
        np.asarray(floats[0]), np.tensordot([0.299, 0.587, 0.114], COLOUR, 1), atol=1e-4
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("plane", colour_plane.PLANES)
def test_equal_channels_are_exactly_that_channel(dtype, plane):
    values = (RNG.random((5, 6)) * 250).astype(dtype)
    for channels in (1, 3):
        result = colour_plane.ColourPlane(plane)(np.stack([values] * channels))
        np.testing.assert_array_equal(result[0], values)
        assert result.dtype == dtype
    with_alpha = np.stack([values, values, values, np.zeros_like(values)])
    np.testing.assert_array_equal(colour_plane.ColourPlane(plane)(with_alpha)[0], values)


def test_no_colour_image():
    with pytest.raises(UnknownNameError, match="Did you mean 'green'"):
        colour_plane.ColourPlane("gren")
    for shape in ((2, 4, 4), (5, 4, 4), (4, 4)):
        with pytest.raises(DataError, match="1, 3 or 4 channels"):
            colour_plane.ColourPlane()(np.zeros(shape, np.uint8))


# -- foreground and z-score


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(2, 30))
def test_otsu_parts_eight_bits_where_opencv_does(seed, height, width):
    draw = np.random.default_rng(seed)
    image = draw.integers(0, draw.integers(2, 256), (height, width)).astype(np.uint8)
    image[: height // 2] = image[: height // 2] // 3
    if np.ptp(image) == 0:
        assert not foreground(image).any()
        return
    level, _ = cv2.threshold(image, 0, 255, cv2.THRESH_OTSU)

    def between(mask):
        if mask.all() or not mask.any():
            return 0.0
        share = mask.mean()
        return share * (1 - share) * (image[mask].mean() - image[~mask].mean()) ** 2

    ours, theirs = between(foreground(image)), between(image > level)
    assert ours == pytest.approx(theirs, rel=1e-3) or ours > theirs


def test_foreground_by_value_and_by_mean_and_what_is_not_finite():
    image = np.array([[0.0, 10.0, 20.0, np.nan, np.inf]])
    assert foreground(image, 10).tolist() == [[False, False, True, False, False]]
    assert foreground(image, "mean").tolist() == [[False, False, True, False, False]]
    assert not foreground(np.full((3, 3), np.nan)).any()
    for wrong in ("median", float("nan")):
        with pytest.raises(ConfigurationError, match="otsu or mean"):
            foreground(image, wrong)


def test_z_score_by_hand():
    image, disc = slice_of()
    result = zscore.ForegroundZScore()(image)[0]
    values = image[0].astype(np.float64)
    mean, count = 0.0, 0
    for value, inside in zip(values.ravel(), disc.ravel(), strict=True):
        mean, count = (mean + value, count + 1) if inside else (mean, count)
    mean /= count
    variance = sum(
        (value - mean) ** 2 for value, inside in zip(values.ravel(), disc.ravel(), strict=True) if inside
    )
    np.testing.assert_allclose(result, (values - mean) / np.sqrt(variance / count), atol=1e-4)
    assert result[~disc].max() < -3
    cut = zscore.ForegroundZScore(background=0.0, clip=2.0)(image)[0]
    assert not cut[~disc].any()
    assert (cut.min(), cut.max()) == (-2, 2)


def test_z_score_over_all_is_monais():
    image = slice_of()[0] + 1
    theirs = NormalizeIntensity()(torch.as_tensor(image))
    np.testing.assert_allclose(zscore.ForegroundZScore(above=-1)(image), theirs, atol=1e-4)


@pytest.mark.parametrize("options", [{"above": "otsi"}, {"clip": 0}, {"clip": -1.0}])
def test_z_scores_nonsense(options):
    with pytest.raises(ConfigurationError):
        zscore.ForegroundZScore(**options)


# -- landmarks


def mapped_by_hand(value, own, standard):
    """Straight lines between the landmarks, the outer ones prolonged."""
    for i in range(len(own) - 1):
        if value <= own[i + 1] or i == len(own) - 2:
            if value < own[0]:
                i = 0
            share = (value - own[i]) / (own[i + 1] - own[i])
            return min(255.0, max(0.0, standard[i] + share * (standard[i + 1] - standard[i])))
    raise AssertionError


def test_landmarks_by_hand():
    images = [slice_of(seed, bright=90 + 25 * seed, spread=8 + seed)[0] for seed in range(4)]
    places = [2, 25, 50, 75, 98]
    found = learned(images, places, above=50)
    expected = np.zeros(5)
    for image in images:
        tissue = np.sort(image[image > 50].astype(np.float64))
        at = [
            tissue[0] * 0 + np.interp(p / 100 * (len(tissue) - 1), range(len(tissue)), tissue) for p in places
        ]
        expected += (np.array(at) - at[0]) / (at[-1] - at[0]) * 255 / 4
    np.testing.assert_allclose(found["landmarks"], expected, atol=1e-3)
    assert (found["images"], found["without_contrast"], found["above"]) == (4, 0, 50)
    new = slice_of(9, bright=120)[0]
    tissue = np.sort(new[new > 50].astype(np.float64))
    own = np.percentile(tissue, places)
    result = LandmarkHistogram(found)(new)
    for row, column in ((32, 32), (0, 0), (20, 40), (63, 10), (31, 8)):
        by_hand = mapped_by_hand(float(new[0, row, column]), own, found["landmarks"])
        assert result[0, row, column] == pytest.approx(by_hand, abs=1e-2)


def test_one_tissue_seen_with_many_gains_becomes_one_grey_value():
    """What the landmarks are for: the same slice, brighter or darker, gives the same picture."""
    image = slice_of(2, bright=120, spread=15)[0]
    standard = LandmarkHistogram(learned([slice_of(seed)[0] for seed in range(6)]))
    first, second = standard(image), standard(image * 0.6 + 3)
    np.testing.assert_allclose(first, second, atol=0.05)
    assert np.abs(image - (image * 0.6 + 3)).mean() > 10


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(3, 40))
def test_landmarks_never_change_the_order_of_grey_values(seed, size):
    draw = np.random.default_rng(seed)
    image = draw.integers(0, draw.integers(2, 256), (1, size, size)).astype(np.float32)
    result = LandmarkHistogram(STANDARD)(image)
    order = np.argsort(image.ravel(), kind="stable")
    assert (np.diff(result.ravel()[order]) >= -1e-3).all()
    if np.ptp(result) and not np.array_equal(result, image):
        assert result.min() >= 0
        assert result.max() <= 255


def test_landmarks_are_kept_in_a_file(tmp_path):
    from monai_brain.files import write_json

    write_json(tmp_path / "l.json", STANDARD)
    image = slice_of(8)[0]
    by_file = LandmarkHistogram(tmp_path / "l.json")(image)
    np.testing.assert_array_equal(by_file, LandmarkHistogram(STANDARD)(image))


def test_images_without_contrast_are_passed_over_and_none_is_an_error():
    flat = np.full((1, 9, 9), 50, np.float32)
    found = learned([flat, slice_of()[0]])
    assert (found["images"], found["without_contrast"]) == (1, 1)
    with pytest.raises(DataError, match="none of 2 images"):
        learned([flat, flat])


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"percentiles": [1, 99]},
        {"percentiles": [1, 99], "landmarks": [0, 100, 255]},
        {"percentiles": [99, 1], "landmarks": [0, 255]},
        {"percentiles": [1, 101], "landmarks": [0, 255]},
        {"percentiles": [1, 99], "landmarks": [255, 0]},
        {"percentiles": [1, 99], "landmarks": ["a", "b"]},
        {"percentiles": [1, 99], "landmarks": [0, 255], "above": "x"},
        {"percentiles": 5, "landmarks": 5},
    ],
)
def test_what_are_no_landmarks(wrong):
    with pytest.raises(ConfigurationError):
        LandmarkHistogram(wrong)


# -- local contrast


def test_local_contrast_is_opencvs():
    image = slice_of()[0]
    for limit, tiles in ((2.0, 8), (4.0, 4)):
        expected = cv2.createCLAHE(limit, (tiles, tiles)).apply(image[0].round().astype(np.uint8))
        result = local_contrast.LocalContrast(limit, tiles)(image)
        np.testing.assert_array_equal(result[0], expected)


def test_local_contrast_of_one_tile_without_limit_is_histogram_equalisation():
    """By a loop over the cumulated histogram: the limit is never reached, and one tile is the image."""
    image = RNG.integers(40, 120, (32, 32)).astype(np.uint8)
    result = local_contrast.LocalContrast(limit=1e6, tiles=1)(image[None].astype(np.float32))[0]
    total, below = image.size, 0
    for value in range(256):
        below += int((image == value).sum())
        if (image == value).any():
            assert abs(result[image == value][0] - below / total * 255) <= 1


@pytest.mark.parametrize("options", [{"limit": 0}, {"tiles": 0}])
def test_local_contrasts_nonsense(options):
    with pytest.raises(ConfigurationError):
        local_contrast.LocalContrast(**options)


# -- bias field


def test_a_known_field_is_taken_out():
    pytest.importorskip("itk")
    rows, columns = np.mgrid[:96, :96]
    tissue = ((rows - 48) ** 2 + (columns - 48) ** 2 < 40**2) * 100.0
    tissue += ((rows - 35) ** 2 + (columns - 55) ** 2 < 10**2) * 60.0
    field = np.exp(0.4 * (columns - 48) / 48 + 0.3 * (rows - 48) / 48)
    image = (tissue * field + RNG.normal(0, 1, tissue.shape)).clip(0).astype(np.float32)
    result = bias_field.EvenField(shrink=2)(image[None])[0]
    one = tissue == 100
    assert image[one].std() / image[one].mean() > 0.15
    assert result[one].std() / result[one].mean() < 0.03
    assert result[tissue == 160].mean() / result[one].mean() == pytest.approx(1.6, abs=0.05)
    assert result[tissue > 0].mean() == pytest.approx(image[tissue > 0].mean(), rel=0.01)
    found = bias_field.EvenField(shrink=2).field(image)[one]
    assert np.corrcoef(np.log(found), np.log(field[one]))[0, 1] > 0.98


def test_without_itk_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "itk", None)
    with pytest.raises(MissingExtraError, match="dicom"):
        bias_field.EvenField()(slice_of()[0])


@pytest.mark.parametrize("options", [{"shrink": 0}, {"iterations": ()}, {"iterations": (0,)}, {"above": "x"}])
def test_fields_nonsense(options):
    with pytest.raises(ConfigurationError):
        bias_field.EvenField(**options)

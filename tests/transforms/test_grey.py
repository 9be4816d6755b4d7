"""The grey scale: 8 bits stay, all else is stretched, through the real loading chain too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, set_track_meta
from monai.transforms import Compose, LoadImaged
from PIL import Image

from monai_brain.data.reader import SliceReader
from monai_brain.errors import ConfigurationError
from monai_brain.transforms.grey import ToGrey255, ToGrey255d

RNG = np.random.default_rng(0)
DARK_8 = RNG.integers(10, 100, (1, 6, 7), dtype=np.uint8)
WIDE = RNG.integers(300, 4000, (1, 6, 7)).astype(np.uint16)


def stretched(values):
    values = np.asarray(values, np.float64)
    return (values - values.min()) / (values.max() - values.min()) * 255


KINDS = {
    "numpy": lambda a: a,
    "torch": lambda a: torch.as_tensor(a.astype(np.int32) if a.dtype == np.uint16 else a),
    "meta": lambda a: MetaTensor(torch.as_tensor(a.astype(np.int32) if a.dtype == np.uint16 else a)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_8_bit_stays_and_becomes_float32(kind):
    image = KINDS[kind](DARK_8)
    result = ToGrey255()(image)
    assert type(result) is type(image)
    assert str(result.dtype).endswith("float32")
    np.testing.assert_array_equal(np.asarray(result), DARK_8)


@pytest.mark.parametrize("kind", KINDS)
def test_all_else_is_stretched(kind):
    image = KINDS[kind](WIDE)
    result = ToGrey255()(image)
    assert type(result) is type(image)
    assert str(result.dtype).endswith("float32")
    np.testing.assert_allclose(np.asarray(result), stretched(WIDE), atol=1e-4)


def test_signed_and_float_values():
    values = RNG.normal(-500, 900, (1, 8, 9)).astype(np.float32)
    np.testing.assert_allclose(ToGrey255()(values), stretched(values), atol=1e-4)


def test_large_offsets_keep_their_precision():
    values = (2**24 + np.arange(12, dtype=np.float64)).reshape(1, 3, 4)
    np.testing.assert_allclose(ToGrey255()(values), stretched(values), atol=1e-4)


def test_only_finite_values_set_the_range():
    values = np.array([[[0.0, 10.0, np.nan], [5.0, np.inf, -np.inf]]], np.float32)
    np.testing.assert_allclose(ToGrey255()(values), [[[0, 255, 0], [127.5, 255, 0]]])


@pytest.mark.parametrize("value", [7.0, np.nan, np.inf])
def test_a_constant_image_becomes_zeros(value):
    assert not ToGrey255()(np.full((1, 3, 3), value, np.float32)).any()


def test_percentiles_cut_both_ends():
    values = RNG.normal(0, 1, (1, 40, 40))
    low, high = np.percentile(values, [2, 97])
    expected = np.clip((values - low) / (high - low), 0, 1) * 255
    np.testing.assert_allclose(ToGrey255(2, 97)(values), expected, atol=1e-3)


@pytest.mark.parametrize("limits", [(-1, 100), (0, 101), (50, 50), (90, 10), (float("nan"), 100)])
def test_bad_percentiles(limits):
    with pytest.raises(ConfigurationError, match="Percentiles"):
        ToGrey255(*limits)


def test_the_input_is_not_changed():
    before = WIDE.copy()
    ToGrey255()(WIDE)
    np.testing.assert_array_equal(WIDE, before)
    eight = torch.as_tensor(DARK_8).float()
    marked = MetaTensor(eight.clone(), meta={"stored_dtype": "uint8"})
    assert torch.equal(ToGrey255()(marked).as_tensor(), eight)


def test_the_meta_is_kept():
    result = ToGrey255()(MetaTensor(torch.rand(1, 3, 3), meta={"filename_or_obj": "a.png"}))
    assert result.meta["filename_or_obj"] == "a.png"


def test_dict_form_and_missing_keys():
    data = {"image": WIDE, "other": 3}
    result = ToGrey255d("image")(data)
    np.testing.assert_allclose(result["image"], stretched(WIDE), atol=1e-4)
    assert result["other"] == 3
    assert data["image"] is WIDE
    assert ToGrey255d(["image", "absent"], allow_missing_keys=True)(data)["image"].dtype == np.float32
    with pytest.raises(KeyError):
        ToGrey255d("absent")(data)


@pytest.fixture(params=[True, False], ids=["meta tracked", "meta not tracked"])
def tracking(request):
    set_track_meta(request.param)
    yield request.param
    set_track_meta(True)


@pytest.mark.parametrize("stored", ["8 bits", "16 bits"])
def test_through_the_real_loading_chain(tmp_path, tracking, stored):
    array = (DARK_8 if stored == "8 bits" else WIDE)[0]
    Image.fromarray(array).save(tmp_path / "a.png")
    load = LoadImaged("image", reader=SliceReader(), dtype=None, ensure_channel_first=True)
    image = Compose([load, ToGrey255d("image")])({"image": tmp_path / "a.png"})["image"]
    assert isinstance(image, MetaTensor) is tracking
    assert image.shape == (1, 6, 7)
    assert image.dtype == torch.float32
    np.testing.assert_allclose(image.numpy()[0], array if stored == "8 bits" else stretched(array), atol=1e-4)


def test_monais_cast_to_float_does_not_lose_what_was_stored(tmp_path):
    Image.fromarray(DARK_8[0]).save(tmp_path / "a.png")
    load = LoadImaged("image", reader=SliceReader(), ensure_channel_first=True)
    loaded = load({"image": tmp_path / "a.png"})
    assert loaded["image"].dtype == torch.float32
    np.testing.assert_array_equal(ToGrey255d("image")(loaded)["image"].numpy(), DARK_8)

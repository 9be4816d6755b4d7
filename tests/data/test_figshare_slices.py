"""Two hundred real slices as MATLAB files: 8 bits unchanged, 16 bits within one grey level."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from monai_brain.data.reader import read_slice
from monai_brain.transforms.grey import ToGrey255
from tests.data.test_figshare import put, put_5

pytestmark = pytest.mark.real_data
N = 200


@pytest.fixture(scope="module")
def slices(real_images):
    """Every fifteenth slice, stretched over 0..255 as ToGrey255 gives it."""
    files = sorted((real_images / "figshare3064").rglob("*.jpg"), key=lambda file: int(file.stem))
    chosen = files[:: len(files) // N][:N]
    assert len(chosen) == N
    return [np.asarray(Image.open(file).convert("L")) for file in chosen]


@pytest.mark.parametrize("version", [put, put_5])
def test_8_bits_give_equal_pixels(slices, tmp_path, version):
    for image in slices if version is put else slices[::10]:
        read, meta = read_slice(
            version(tmp_path / "a.mat", image=image, mask=None if version is put else image > 9)
        )
        np.testing.assert_array_equal(read, image)
        assert meta["stored_dtype"] == "uint8"
        grey = ToGrey255()(np.asarray(read)[None])[0]
        np.testing.assert_array_equal(grey, image)


@pytest.mark.parametrize("version", [put, put_5])
def test_int16_gives_the_same_picture_within_one_grey_level(slices, tmp_path, version):
    """(x * 40 + 300), as scanners store it; a slice that does not fill 0..255 is stretched to do so."""
    worst = 0.0
    for image in slices if version is put else slices[::10]:
        stored = (image.astype(np.int32) * 40 + 300).astype(np.int16)
        read, meta = read_slice(
            version(tmp_path / "a.mat", image=stored, mask=None if version is put else image > 9)
        )
        assert meta["stored_dtype"] == "int16"
        np.testing.assert_array_equal(read, stored)
        low, high = int(image.min()), int(image.max())
        expected = (image.astype(float) - low) * 255 / (high - low)
        grey = np.asarray(ToGrey255()(read[None]))[0]
        worst = max(worst, float(np.abs(grey - expected).max()))
        if (low, high) == (0, 255):
            assert np.abs(grey - image).max() <= 1
    assert worst <= 1

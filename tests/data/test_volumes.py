"""NIfTI, NRRD and MetaImage: one slice, upright whatever the file's axes, one line for bad files."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from monai_brain.data.reader import read_slice
from monai_brain.data.slices import UnreadableImageError

itk = pytest.importorskip("itk")

RNG = np.random.default_rng(0)
# Where (left, posterior, superior) tells every voxel's place apart: x to the left, y back, z up.
SHAPE = (6, 5, 4)  # x, y, z
PLACES = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE) * 3 - 50


def put(path, array, direction=None):
    """An array indexed [k, j, i], its axes i, j, k running along the columns of `direction` (LPS)."""
    image = itk.image_from_array(np.ascontiguousarray(array))
    if direction is not None:
        image.SetDirection(itk.matrix_from_array(np.ascontiguousarray(direction, float)))
    itk.imwrite(image, str(path))
    return path


def laid_out(axes, signs):
    """PLACES stored with its file axes i, j, k along the LPS axes `axes`, each forward or backward."""
    stored = PLACES
    for axis, sign in zip(axes, signs, strict=True):
        stored = np.flip(stored, axis) if sign < 0 else stored
    stored = stored.transpose(axes).transpose(2, 1, 0)
    direction = np.zeros((3, 3))
    for number, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        direction[axis, number] = sign
    return stored, direction


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_two_dimensional_image(tmp_path, suffix):
    plane = RNG.integers(-500, 3000, (7, 9)).astype(np.int16)
    image, meta = read_slice(put(tmp_path / f"a{suffix}", plane))
    np.testing.assert_array_equal(image, plane)
    assert meta["stored_dtype"] == "int16"


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_an_axial_slice_is_upright_whatever_the_stored_order(tmp_path, suffix):
    """As a DICOM viewer shows it: columns to the patient's left, rows to the back."""
    for axes in ((0, 1, 2), (1, 0, 2)):
        for signs in ((1, 1, 1), (-1, 1, 1), (1, -1, 1), (-1, -1, 1)):
            path = put(tmp_path / f"a{suffix}", *laid_out(axes, signs))
            for frame in (1, 4):
                np.testing.assert_array_equal(read_slice(path, frame=frame)[0], PLACES[:, :, frame - 1].T)


@pytest.mark.parametrize(
    ("axes", "expected"),
    [((0, 2, 1), lambda y: PLACES[:, y, ::-1].T), ((1, 2, 0), lambda x: PLACES[x, :, ::-1].T)],
    ids=["coronal", "sagittal"],
)
def test_coronal_and_sagittal_slices_have_the_head_up(tmp_path, axes, expected):
    for signs in ((1, 1, 1), (-1, 1, 1), (1, -1, 1), (-1, -1, 1)):
        path = put(tmp_path / "a.nii", *laid_out(axes, signs))
        np.testing.assert_array_equal(read_slice(path, frame=2)[0], expected(1))


def test_a_slice_must_be_chosen(tmp_path):
    path = put(tmp_path / "a.nii", *laid_out((0, 1, 2), (1, 1, 1)))
    with pytest.raises(UnreadableImageError, match="several frames: it holds 4"):
        read_slice(path)
    for frame in (0, 5):
        with pytest.raises(UnreadableImageError, match="no such frame"):
            read_slice(path, frame=frame)


def test_floats_with_nan_are_kept(tmp_path):
    plane = RNG.normal(size=(7, 9)).astype(np.float32)
    plane[0, 0] = np.nan
    np.testing.assert_array_equal(read_slice(put(tmp_path / "a.nrrd", plane))[0], plane)


def test_constant_and_all_nan(tmp_path):
    for value in (0.0, np.nan):
        with pytest.raises(UnreadableImageError, match="no contrast"):
            read_slice(put(tmp_path / "a.nii", np.full((7, 9), value, np.float32)))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_cut_files(tmp_path, suffix):
    plane = RNG.integers(0, 30000, (64, 64)).astype(np.int16)
    whole = put(tmp_path / f"a{suffix}", plane).read_bytes()
    path = tmp_path / f"cut{suffix}"
    for length in (20, 200, 360, len(whole) // 2, len(whole) - 9):
        path.write_bytes(whole[:length])
        with pytest.raises(UnreadableImageError) as caught:
            read_slice(path)
        assert str(caught.value).startswith(path.name)
        assert "\n" not in str(caught.value)


def test_a_broken_byte_in_the_compressed_data(tmp_path):
    whole = bytearray(
        put(tmp_path / "a.nii.gz", RNG.integers(0, 30000, (64, 64)).astype(np.int16)).read_bytes()
    )
    whole[-6] ^= 0xFF
    (tmp_path / "b.nii.gz").write_bytes(bytes(whole))
    with pytest.raises(UnreadableImageError, match="damaged"):
        read_slice(tmp_path / "b.nii.gz")


def test_a_claim_of_20000_by_20000(tmp_path):
    content = bytearray(put(tmp_path / "a.nii", RNG.integers(0, 99, (8, 8)).astype(np.int16)).read_bytes())
    content[42:46] = (20000).to_bytes(2, "little") * 2
    (tmp_path / "b.nii").write_bytes(bytes(content))
    with pytest.raises(UnreadableImageError, match="too large"):
        read_slice(tmp_path / "b.nii")


def test_slope_and_intercept_of_nifti(tmp_path):
    plane = RNG.integers(0, 99, (8, 8)).astype(np.int16)
    content = bytearray(put(tmp_path / "a.nii", plane).read_bytes())
    content[112:120] = np.array([2.5, -7], "<f4").tobytes()
    (tmp_path / "b.nii").write_bytes(bytes(content))
    np.testing.assert_allclose(read_slice(tmp_path / "b.nii")[0], plane * 2.5 - 7)


def test_colour_volumes_are_refused(tmp_path):
    image = itk.image_from_array(RNG.integers(0, 255, (5, 6, 3), dtype=np.uint8), is_vector=True)
    itk.imwrite(image, str(tmp_path / "a.nrrd"))
    with pytest.raises(UnreadableImageError, match="3 values a pixel"):
        read_slice(tmp_path / "a.nrrd")


def test_gzip_of_something_else(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"hello" * 200))
    with pytest.raises(UnreadableImageError, match="not an image"):
        read_slice(tmp_path / "a.nii.gz")

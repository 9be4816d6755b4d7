"""The figshare set in its original files, both MATLAB versions, and every way they can be bad."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.io import savemat

from monai_brain.data import figshare
from monai_brain.data.index import incomplete, index
from monai_brain.data.reader import read_slice
from monai_brain.data.slices import UnreadableImageError
from monai_brain.errors import DataError

h5py = pytest.importorskip("h5py")

IMAGE = np.random.default_rng(0).integers(0, 3000, (12, 10)).astype(np.int16)
OTHERS = np.random.default_rng(1).integers(0, 3000, (2, 12, 10)).astype(np.int16)
MASK = np.zeros((12, 10), np.uint8)
MASK[2:5, 6:10] = 1


def put(path, label=1.0, patient="100360", image=IMAGE, mask=MASK, user_block=512):
    """A file as MATLAB writes version 7.3: everything transposed, text as numbers, a block in front."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=user_block) as file:
        group = file.create_group("cjdata")
        if label is not None:
            group["label"] = np.array([[label]])
        if patient is not None:
            group["PID"] = np.array([[ord(c)] for c in patient], np.uint16).reshape(-1, 1)
        if image is not None:
            group["image"] = image.T
        if mask is not None:
            group["tumorMask"] = mask.T
    if user_block:
        with open(path, "r+b") as stream:
            stream.write(b"MATLAB 7.3 MAT-file".ljust(user_block, b" "))
    return path


def put_5(path, label=1.0, patient="100360", image=IMAGE, mask=MASK):
    savemat(path, {"cjdata": {"label": label, "PID": patient, "image": image, "tumorMask": mask}})
    return path


@pytest.mark.parametrize("version", [put, put_5])
def test_the_image_is_rows_down_in_its_stored_type(tmp_path, version):
    image, meta = read_slice(version(tmp_path / "1.mat"))
    np.testing.assert_array_equal(image, IMAGE)
    assert meta["format"] == "mat"
    assert meta["stored_dtype"] == "int16"


def test_hdf5_without_matlabs_block(tmp_path):
    np.testing.assert_array_equal(read_slice(put(tmp_path / "1.mat", user_block=0))[0], IMAGE)


@pytest.mark.parametrize("version", [put, put_5])
def test_the_index(tmp_path, version):
    version(tmp_path / "10.mat", 3.0, "MR040240B", OTHERS[0])
    version(tmp_path / "2.mat", 2.0, "MR040240", OTHERS[1])
    version(tmp_path / "1.mat", 1.0, "100360", mask=np.zeros_like(MASK))
    savemat(tmp_path / "cvind.mat", {"cvind": np.arange(1, 11)[:, None] % 5 + 1})
    content = index(figshare.read(tmp_path), tmp_path).datalist
    assert incomplete(content) == "3 of 3064: 3.mat, 4.mat, 5.mat, 6.mat, 7.mat and 3056 more missing"
    assert content["labels"] == ["glioma", "meningioma", "pituitary"]
    rows = [
        (i["image"].rsplit("/", 1)[-1], i["class_name"], i["patient_id"], i["group"], i["published_fold"])
        for i in content["training"]
    ]
    assert rows == [
        ("1.mat", "meningioma", "100360", "100360", 2),
        ("2.mat", "glioma", "MR040240", "MR040240", 3),
        ("10.mat", "pituitary", "MR040240B", "MR040240", 1),
    ]
    # rows 2..4 of 12, columns 6..9 of 10
    assert content["training"][1]["tumor_box"] == "0.8000 0.2917 0.4000 0.2500"
    assert content["training"][0]["tumor_box"] == ""


def test_cvind_in_hdf5_above_the_folder(tmp_path):
    put(tmp_path / "data" / "1.mat")
    with h5py.File(tmp_path / "cvind.mat", "w") as file:
        file["cvind"] = np.array([[4.0, 5.0]])
    assert figshare.read(tmp_path / "data")["training"][0]["published_fold"] == 4


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"label": 9.0}, "label is 9"),
        ({"label": np.nan}, "no whole number"),
        ({"label": None}, "lacks label"),
        ({"patient": None}, "lacks PID"),
        ({"patient": "   "}, "PID is empty"),
        ({"image": None}, "lacks image"),
        ({"image": np.zeros((0, 10), np.int16)}, "empty"),
        ({"image": np.zeros((3, 4, 5), np.int16)}, "shape"),
    ],
)
def test_bad_fields_are_named(tmp_path, changes, reason):
    put(tmp_path / "1.mat")
    put(tmp_path / "2.mat", **changes)
    content = index(figshare.read(tmp_path), tmp_path).datalist
    assert len(content["training"]) == 1
    (bad,) = content["rejected"]
    assert bad["image"] == "2.mat"
    assert reason in bad["reason"]


@pytest.mark.parametrize("version", [put, put_5])
def test_cut_files(tmp_path, version):
    whole = version(tmp_path / "1.mat").read_bytes()
    for share in (0.3, 0.6, 0.9):
        (tmp_path / "cut.mat").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(UnreadableImageError, match=r"cut\.mat: damaged"):
            read_slice(tmp_path / "cut.mat")


def test_another_hdf5_file(tmp_path):
    with h5py.File(tmp_path / "other.mat", "w") as file:
        file["x"] = [1]
    with pytest.raises(UnreadableImageError, match="damaged"):
        read_slice(tmp_path / "other.mat")


def test_not_512_pixels_is_no_error(tmp_path):
    odd = np.arange(256 * 250, dtype=np.int16).reshape(256, 250)
    assert read_slice(put(tmp_path / "1.mat", image=odd))[0].shape == (256, 250)


def test_an_empty_folder_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="Unpack"):
        figshare.read(tmp_path)

"""Folders of classes become a datalist, under whatever names public sets use."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image

from monai_brain.data import folders
from monai_brain.data.index import index
from monai_brain.errors import DataError


def put(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4) + value).save(path)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("notumor", "no_tumor"),
        ("no_tumor", "no_tumor"),
        ("No Tumour", "no_tumor"),
        ("no-tumor", "no_tumor"),
        ("no", "no_tumor"),
        ("glioma_tumor", "glioma"),
        ("Glioma", "glioma"),
        ("meningioma tumour", "meningioma"),
        ("pituitary_tumor", "pituitary"),
        ("Complete", "Complete"),
        ("yes", "yes"),
    ],
)
def test_names(theirs, ours):
    assert folders.class_named(theirs) == ours


def test_each_image_is_of_the_folder_it_lies_in(tmp_path):
    put(tmp_path / "Training" / "glioma_tumor" / "b.png", 1)
    put(tmp_path / "Training" / "no_tumor" / "ä.jpg", 2)
    put(tmp_path / "Testing" / "glioma_tumor" / "b.png", 3)
    (tmp_path / "Testing" / "glioma_tumor" / "Thumbs.db").write_bytes(b"\x00\x01thumbs")
    (tmp_path / "Testing" / "glioma_tumor" / "empty.png").write_bytes(b"")
    put(tmp_path / "loose.png")
    (tmp_path / "readme.txt").write_text("hello", encoding="utf-8")
    content = index(folders.read(tmp_path), tmp_path).datalist
    assert content["labels"] == ["glioma", "no_tumor"]
    shown = [(item["image"].removeprefix(f"{tmp_path}/"), item["class_name"]) for item in content["training"]]
    assert shown == [
        ("Testing/glioma_tumor/b.png", "glioma"),
        ("Training/glioma_tumor/b.png", "glioma"),
        ("Training/no_tumor/ä.jpg", "no_tumor"),
    ]
    assert sorted(content["left_out"]) == ["Testing/glioma_tumor/Thumbs.db", "loose.png", "readme.txt"]
    empty = {"image": "Testing/glioma_tumor/empty.png", "reason": "empty: it has 0 bytes"}
    assert content["rejected"] == [empty]
    first = content["training"][0]
    assert first["patient_id"] is None
    with open(first["image"], "rb") as stream:
        assert first["sha256"] == hashlib.sha256(stream.read()).hexdigest()


def test_a_loop_of_links_ends(tmp_path):
    put(tmp_path / "glioma" / "a.png")
    (tmp_path / "glioma" / "again").symlink_to(tmp_path)
    assert len(folders.read(tmp_path)["training"]) == 1


def test_no_folder_and_no_images(tmp_path):
    with pytest.raises(DataError, match="not a folder"):
        folders.read(tmp_path / "absent")
    with pytest.raises(DataError, match="holds no image"):
        folders.read(tmp_path)

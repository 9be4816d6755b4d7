"""Tables become a datalist; every row that cannot is named."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from monai_brain.data import manifest
from monai_brain.data.splits import groups
from monai_brain.errors import DataError


@pytest.fixture
def save(tmp_path):
    for name in ("a.png", "b.png", "ü.png"):
        (tmp_path / name).write_bytes(name.encode())

    def put(text, encoding="utf-8"):
        (tmp_path / "manifest.csv").write_text(text, encoding=encoding)
        return tmp_path / "manifest.csv"

    return put


ROWS = "file,label,patient_id,group,width\na.png,glioma,1,g1,512\nb.png,notumor,,g2,256\nü.png,glioma,2,,\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("separator", [",", ";"])
def test_rows_become_items(save, tmp_path, encoding, separator):
    content = manifest.read(save(ROWS.replace(",", separator), encoding))
    assert content["labels"] == ["glioma", "no_tumor"]
    first, second, third = content["training"]
    assert first["image"] == str(tmp_path / "a.png")
    assert (first["patient_id"], first["group"], first["width"]) == ("1", "g1", "512")
    assert second["patient_id"] is None
    assert third["group"] is None
    assert third["source"] == tmp_path.name
    assert [item["label"] for item in content["training"]] == [0, 1, 0]


def test_another_label_column(save):
    assert manifest.read(save("image,finding\na.png,x\nb.png,y\n"), label="finding")["labels"] == ["x", "y"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no rows"),
        ("file,label\n", "holds no rows"),
        ("name,label\na.png,x\n", "no column file"),
        ("file,diagnosis\na.png,x\n", "no column label"),
        ("file,label\na.png,\nb.png,nan\nü.png,x\n", "2 rows have no label: lines 2, 3"),
        ("file,label\na.png,x\nc.png,x\nd.png,x\n", r"2 of 3 images are missing: c\.png, d\.png"),
        ("file,label\n,x\n", "1 of 1 images are missing"),
        ("file,label\na.png,x\na.png,y\n", "named twice"),
    ],
)
def test_what_is_missing_is_named(save, text, message):
    with pytest.raises(DataError, match=message):
        manifest.read(save(text))


def test_no_text_and_no_file(save, tmp_path):
    path = save("")
    path.write_bytes(b"\xff\xfe\x00\x81")
    for bad in (path, tmp_path / "absent.csv", tmp_path):
        with pytest.raises(DataError, match="cannot be read as a table"):
            manifest.read(bad)


@pytest.mark.real_data
@pytest.mark.skipif("MONAI_BRAIN_DATA" not in os.environ, reason="MONAI_BRAIN_DATA is not set")
def test_figshare_as_published():
    content = manifest.read(Path(os.environ["MONAI_BRAIN_DATA"]) / "figshare3064" / "manifest.csv")
    counts = Counter(item["class_name"] for item in content["training"])
    assert counts == {"meningioma": 708, "glioma": 1426, "pituitary": 930}
    assert len({item["patient_id"] for item in content["training"]}) == 233
    assert len(set(groups(content["training"]))) == 209

"""Tables become a datalist; every row that cannot is named."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from monai_brain.data import manifest
from monai_brain.data.index import index
from monai_brain.errors import DataError


@pytest.fixture
def save(tmp_path):
    for seed, name in enumerate(("a.png", "b.png", "ü.png")):
        noise = np.random.default_rng(seed).integers(0, 256, (60, 60), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / name)

    def put(text, encoding="utf-8"):
        (tmp_path / "manifest.csv").write_text(text, encoding=encoding)
        return tmp_path / "manifest.csv"

    return put


def indexed(table, **columns):
    return index(manifest.read(table, columns), table.parent).datalist


ROWS = "file,label,patient_id,group,width\na.png,glioma,1,g1,512\nb.png,notumor,,g2,256\nü.png,glioma,2,,\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("separator", [",", ";"])
def test_rows_become_items(save, tmp_path, encoding, separator):
    content = indexed(save(ROWS.replace(",", separator), encoding))
    assert content["labels"] == ["glioma", "no_tumor"]
    first, second, third = content["training"]
    assert first["image"] == str(tmp_path / "a.png")
    # the width is the image's own, whatever the table says
    assert (first["patient_id"], first["group"], first["width"]) == ("1", "g1", 60)
    assert second["patient_id"] is None
    assert third["group"] == "2"
    assert third["source"] == tmp_path.name
    assert [item["label"] for item in content["training"]] == [0, 1, 0]


def test_another_label_column(save):
    assert indexed(save("image,finding\na.png,x\nb.png,y\n"), label="finding")["labels"] == ["x", "y"]


def test_all_columns_under_other_names(save):
    path = save("Slice,Dx,Person,Family,Hospital\na.png,x,7,f,Ulm\nb.png,y,8,,\n")
    theirs = {"file": "Slice", "label": "Dx", "patient_id": "Person", "group": "Family", "source": "Hospital"}
    first, second = indexed(path, **theirs)["training"]
    assert [first[key] for key in ("patient_id", "group", "source", "class_name")] == ["7", "f", "Ulm", "x"]
    assert (second["group"], second["source"]) == ("8", path.parent.name)
    assert not set(theirs.values()) & first.keys()


@pytest.mark.parametrize("wrong", [{"label": "nope"}, {"file": "nope"}, {"group": "nope"}, {"nope": "label"}])
def test_a_column_that_is_not_there(save, wrong):
    with pytest.raises(DataError, match="no column nope"):
        manifest.read(save(ROWS), wrong)


def test_parquet_gives_what_csv_gives(save, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {
        "file": ["a.png", "b.png", "ü.png"],
        "label": ["glioma", "notumor", "glioma"],
        "patient_id": [1, None, 2],
        "group": ["g1", "g2", None],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "m.parquet")
    assert indexed(tmp_path / "m.parquet")["training"] == indexed(save(ROWS))["training"]
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "m.parquet").read_bytes()[:200])
    with pytest.raises(DataError, match="cannot be read as a table"):
        manifest.read(tmp_path / "cut.parquet")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no rows"),
        ("file,label\n", "holds no rows"),
        ("name,label\na.png,x\n", "no column file"),
        ("file,diagnosis\na.png,x\n", "no column label"),
    ],
)
def test_a_table_that_is_none(save, text, message):
    with pytest.raises(DataError, match=message):
        manifest.read(save(text))


@pytest.mark.parametrize(
    ("text", "rejected"),
    [
        ("file,label\na.png,\nb.png,nan\nü.png,x\n", {"a.png": "line 2 has no label", "b.png": "line 3"}),
        ("file,label\na.png,x\nc.png,x\nd.png,x\n", {"c.png": "missing", "d.png": "missing"}),
        ("file,label\n,x\na.png,x\n", {"line 2": "no file"}),
        ("file,label\na.png,x\na.png,y\n", {"a.png": "named twice"}),
        ("file,label\na.png,x\nsub/../a.png,y\n", {"a.png": "named twice"}),
    ],
)
def test_rows_that_cannot_be_used_are_named_and_the_rest_stays(save, text, rejected):
    content = indexed(save(text))
    found = {entry["image"]: entry["reason"] for entry in content["rejected"]}
    assert found.keys() == rejected.keys()
    for name, reason in found.items():
        assert rejected[name] in reason
    assert len(content["training"]) == 1


def test_no_text_and_no_file(save, tmp_path):
    path = save("")
    path.write_bytes(b"\xff\xfe\x00\x81")
    for bad in (path, tmp_path / "absent.csv", tmp_path):
        with pytest.raises(DataError, match="cannot be read as a table"):
            manifest.read(bad)

"""mini-MIAS and CBIS-DDSM as they are unpacked, in small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_brain.data import mammograms
from monai_brain.data.index import incomplete, index
from monai_brain.errors import DataError

INFO = """INFORMATION for mammograms

1st column: MIAS database reference number.

mdb001 G CIRC B 535 425 197
mdb002 G CIRC B 522 280 69
mdb003 D NORM
mdb004 D NORM
mdb005 F CIRC B 477 133 30
mdb005 F CIRC M 500 168 26
mdb059 F CIRC B
mdb245 F CALC M *NOTE 3*
"""


def put(path, seed=0, size=40):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)).save(path)


def test_mias(tmp_path):
    for number in (1, 2, 3, 4, 5, 7):
        put(tmp_path / "all" / f"mdb{number:03d}.pgm", number)
    (tmp_path / "Info.txt").write_text(INFO, encoding="utf-8")
    (tmp_path / "Licence.txt").write_text("words", encoding="utf-8")
    content = index(mammograms.read_mias(tmp_path), tmp_path).datalist
    rows = {
        Path(item["image"]).stem: (item["class_name"], item["group"], item["laterality"], item["tissue"])
        for item in content["training"]
    }
    assert rows == {
        "mdb001": ("benign", "mias_001", "R", "G"),
        "mdb002": ("benign", "mias_001", "L", "G"),
        "mdb003": ("normal", "mias_002", "R", "D"),
        "mdb004": ("normal", "mias_002", "L", "D"),
        "mdb005": ("malignant", "mias_003", "R", "F"),
    }
    assert [entry["image"] for entry in content["rejected"]] == ["all/mdb007.pgm"]
    assert incomplete(content).startswith("6 of 322: mdb006, mdb008, ")
    assert sorted(content["left_out"]) == ["Info.txt", "Licence.txt"]


def test_mias_rows_with_notes_and_without_places():
    rows = mammograms._mias_rows(INFO)
    assert (rows[245]["class_name"], rows[59]["class_name"]) == ("malignant", "benign")
    assert rows[5]["finding"] == "CIRC"


def test_mias_that_is_none(tmp_path):
    with pytest.raises(DataError, match=r"no Info\.txt"):
        mammograms.read_mias(tmp_path)
    (tmp_path / "Info.txt").write_text("nothing", encoding="utf-8")
    with pytest.raises(DataError, match="holds no row"):
        mammograms.read_mias(tmp_path)
    (tmp_path / "Info.txt").write_text(INFO, encoding="utf-8")
    with pytest.raises(DataError, match="holds no image"):
        mammograms.read_mias(tmp_path)


MASS = (
    "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type,mass shape,"
    "mass margins,assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path"
)
CALC = MASS.replace("breast_density", "breast density").replace("mass shape,mass margins", "a,b")


def row(kind, patient, side, view, pathology, number=1):
    folder = f"{kind}_{patient}_{side}_{view}"
    where = f"{folder}/1.3.6.1/1.3.6.2/000000.dcm"
    return f"{patient},3,{side},{view},{number},mass,X,Y,4,{pathology},4,{where},{folder}_1/c,{folder}_1/m"


def test_cbis_ddsm(tmp_path):
    """Images are small PNGs here under DICOM's names: what a file is, its content says."""
    rows = [
        row("Mass-Training", "P_00001", "LEFT", "CC", "BENIGN"),
        row("Mass-Training", "P_00001", "LEFT", "CC", "MALIGNANT", 2),
        row("Mass-Training", "P_00001", "LEFT", "MLO", "BENIGN_WITHOUT_CALLBACK"),
        row("Mass-Training", "P_00002", "RIGHT", "CC", "MALIGNANT"),
    ]
    (tmp_path / "mass_case_description_train_set.csv").write_text("\n".join([MASS, *rows]), encoding="utf-8")
    calc = row("Calc-Test", "P_00001", "RIGHT", "CC", "BENIGN")
    (tmp_path / "calc_case_description_test_set.csv").write_text(f"{CALC}\n{calc}\n", encoding="utf-8")
    tree = tmp_path / "CBIS-DDSM"
    for seed, name in enumerate(
        (
            "Mass-Training_P_00001_LEFT_CC/07-20-2016-DDSM-1/1.000000-full/1-1.png",
            "Mass-Training_P_00001_LEFT_MLO/1.3.6/1.3.7/000000.png",
            "Calc-Test_P_00001_RIGHT_CC/x/1-1.png",
        )
    ):
        put(tree / name, seed)
    put(tree / "Mass-Training_P_00001_LEFT_CC_1/x/1-2.png", 9, 20)
    put(tree / "Mass-Training_P_00001_LEFT_CC/07-20-2016-DDSM-1/1.000000-full/1-2.png", 10, 12)
    content = index(mammograms.read_cbis_ddsm(tmp_path), tmp_path).datalist
    found = {
        (item["patient_id"], item["laterality"], item["view_position"]): (
            item["class_name"],
            item["published_split"],
            Path(item["image"]).name,
        )
        for item in content["training"]
    }
    assert found == {
        ("P_00001", "L", "CC"): ("malignant", "train", "1-1.png"),
        ("P_00001", "L", "MLO"): ("benign", "train", "000000.png"),
        ("P_00001", "R", "CC"): ("benign", "test", "1-1.png"),
    }
    assert {item["group"] for item in content["training"]} == {"P_00001"}
    assert incomplete(content) == "3 of 4: Mass-Training_P_00002_RIGHT_CC missing"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no table"),
        ("patient_id,pathology\n1,BENIGN\n", "no column image file path"),
        (f"{MASS}\n{row('Mass-Training', 'P_1', 'LEFT', 'CC', 'WORSE')}\n", "line 2 has no"),
        (f"{MASS}\n{row('Mass-Training', 'P_1', 'LEFT', 'CC', 'BENIGN')}\n", "none of the 1 mammograms"),
    ],
)
def test_cbis_ddsm_that_is_none(tmp_path, text, message):
    if text:
        (tmp_path / "mass_case_description_train_set.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        mammograms.read_cbis_ddsm(tmp_path)

"""Several data sets as one: classes by name, patients apart, copies left out or tied together."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from monai_brain.cli import main
from monai_brain.data import datalist, joining
from monai_brain.errors import ConfigurationError
from monai_brain.files import sha256


@pytest.fixture
def sets(tmp_path):
    """Two sets: "b" has a byte copy and a mirrored copy of images of "a", and a patient of the same name."""
    generator = np.random.default_rng(0)

    def image(folder, name, pixels):
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), pixels)
        return path

    def item(path, class_name, patient):
        return {
            "image": str(path),
            "class_name": class_name,
            "patient_id": patient,
            "group": patient,
            "sha256": sha256(path),
        }

    pixels = [cv2.resize(generator.integers(0, 255, (12, 12)).astype(np.uint8), (64, 64)) for _ in range(5)]
    a = [item(image("a", f"{n}.png", pixels[n]), "glioma", f"p{n}") for n in range(3)]
    b = [
        item(image("b", "copy.png", pixels[0]), "glioma", "q0"),
        item(image("b", "mirrored.png", np.ascontiguousarray(pixels[1][:, ::-1])), "Glioma", "q1"),
        item(image("b", "same_patient_name.png", pixels[3]), "notumor", "p2"),
        item(image("b", "other.png", pixels[4]), "No Tumor", "q1"),
    ]
    for name, items in (("a", a), ("b", b)):
        labels = sorted({one["class_name"] for one in items})
        content = {"schema_version": 1, "name": name, "labels": labels, "training": items}
        datalist.write(content, tmp_path / f"{name}.json")
    return [tmp_path / "a.json", tmp_path / "b.json"]


def test_classes_meet_by_name_and_patients_do_not(sets):
    found = joining.join(sets)
    assert found["labels"] == ["glioma", "no_tumor"]
    assert [item["class_name"] for item in found["training"]] == ["glioma"] * 4 + ["no_tumor"] * 2
    named = {item["image"].rpartition("/")[2]: item for item in found["training"]}
    assert named["2.png"]["patient_id"] == "a: p2"
    assert named["same_patient_name.png"]["patient_id"] == "b: p2"
    assert named["0.png"]["patient_id"] == "p0"
    assert {item["source"] for item in found["training"]} == {"a", "b"}
    assert found["joined_sets"] == [
        {"name": "a", "images": 3, "copies_left_out": 0},
        {"name": "b", "images": 3, "copies_left_out": 1},
    ]


def test_near_duplicates_of_two_sets_and_their_groups_stand_together(sets):
    found = joining.join(sets)
    named = {item["image"].rpartition("/")[2]: item for item in found["training"]}
    assert found["groups_tied_across_sets"] == 1
    assert named["mirrored.png"]["group"] == named["1.png"]["group"] == named["other.png"]["group"] == "p1"
    apart = joining.join(sets, duplicates=False)
    assert apart["groups_tied_across_sets"] == 0
    named = {item["image"].rpartition("/")[2]: item for item in apart["training"]}
    assert named["mirrored.png"]["group"] == "q1"


def test_the_command_writes_a_datalist_without_folds(sets, tmp_path, capsys):
    out = tmp_path / "both.json"
    assert main(["data", "join", *map(str, sets), "-o", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == {"glioma": 4, "no_tumor": 2}
    assert [item["fold"] for item in datalist.read(out)["training"]] == [None] * 6
    with pytest.raises(ConfigurationError, match="at least two"):
        joining.join(sets[:1])

"""A trained model on images from elsewhere, without copies of what it has seen."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from monai_brain.cli import main
from monai_brain.data import datalist, phantoms
from monai_brain.errors import ConfigurationError
from monai_brain.evaluation import predictions
from monai_brain.files import read_json
from monai_brain.testing.tiny import tiny_bundle
from monai_brain.training.experiments.transfer import transfer


@pytest.fixture(scope="module")
def elsewhere(workplace, tmp_path_factory):
    """12 new phantoms, two of a class that no model knows, and three mirrored copies of training images."""
    folder = tmp_path_factory.mktemp("elsewhere")
    phantoms.write("brain", folder, 12, seed=77, size=32)
    content = datalist.read(folder / "datalist.json")
    seen = datalist.read(workplace / "datalist.json")["training"][:3]
    for number, item in enumerate(seen):
        image = cv2.imread(item["image"], cv2.IMREAD_UNCHANGED)
        path = folder / "images" / f"copy_{number}.png"
        cv2.imwrite(str(path), np.ascontiguousarray(image[:, ::-1]))
        content["training"].append(
            {"image": str(path), "class_name": item["class_name"], "patient_id": f"x{number}"}
        )
    content["labels"] = [*content["labels"], "abscess"]
    for item in content["training"][:2]:
        item["class_name"], item["label"] = "abscess", 4
    for item in content["training"]:
        item["label"] = content["labels"].index(item["class_name"])
    return datalist.write(content, folder / "other.json")


def test_copies_and_other_classes_are_left_out_and_counted(crossed, elsewhere, tmp_path):
    root = transfer(crossed, elsewhere, tmp_path / "out")
    told = read_json(root / "experiment.json")
    assert told["left_out_of_other_classes"] == {"abscess": 2}
    found = told["copies_of_training_images"]
    assert [entry["case"] for entry in found] == [f"images/copy_{number}.png" for number in range(3)]
    assert {entry["turn"] for entry in found} == {"mirrored"}
    rows = predictions.read(root / "predictions.csv")
    assert len(rows) == 10
    metrics = read_json(root / "metrics.json")
    assert any("2 abscess" in note for note in metrics["notes"])
    assert any(note.startswith("3 images are left out") for note in metrics["notes"])


def test_the_coverage_curve_is_the_accuracy_of_the_surest(crossed, elsewhere, tmp_path):
    root = transfer(crossed, elsewhere, tmp_path / "out", rename={"abscess": "no_tumor"})
    rows = predictions.read(root / "predictions.csv")
    assert len(rows) == 12
    curve = read_json(root / "metrics.json")["coverage"]
    order = sorted(range(len(rows)), key=lambda number: -rows.probs[number].max())
    right = [bool(rows.label[number] == rows.predicted[number]) for number in order]
    for point in curve["points"]:
        count = max(1, int(np.ceil(point["coverage"] * 12 - 1e-9)))
        assert (point["cases"], point["accuracy"]) == (count, pytest.approx(np.mean(right[:count])))
    assert curve["area"] == pytest.approx(np.mean([np.mean(right[: n + 1]) for n in range(12)]))


def test_nobody_knows_what_a_bare_model_was_trained_on(elsewhere, workplace, tmp_path):
    bundle = tiny_bundle(tmp_path / "tiny", weights=True)
    with pytest.raises(ConfigurationError, match="--trained-on FILE"):
        transfer(bundle.root, elsewhere, tmp_path / "out")
    root = transfer(bundle.root, elsewhere, tmp_path / "named", trained_on=workplace / "datalist.json")
    assert len(read_json(root / "experiment.json")["copies_of_training_images"]) == 3
    root = transfer(bundle.root, elsewhere, tmp_path / "kept", keep_duplicates=True)
    assert len(predictions.read(root / "predictions.csv")) == 13
    assert "too good" in read_json(root / "metrics.json")["notes"][0]


def test_an_image_that_cannot_be_read_is_named_and_the_others_are_judged(
    crossed, elsewhere, tmp_path, capsys
):
    content = datalist.read(elsewhere)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    content["training"].append({"image": str(broken), "class_name": "glioma", "label": 0})
    path = datalist.write(content, tmp_path / "list.json")
    words = [
        "transfer",
        str(crossed),
        "--datalist",
        str(path),
        "--keep-duplicates",
        "-o",
        str(tmp_path / "out"),
    ]
    assert main(words) == 3
    assert "broken.png: " in capsys.readouterr().err
    assert len(predictions.read(tmp_path / "out" / "predictions.csv")) == 13

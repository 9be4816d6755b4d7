"""What a model is not made for gets no label, and is told from failures."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

import monai_brain as mb
from monai_brain.bundles import Bundle
from monai_brain.cli import main
from monai_brain.errors import ConfigurationError
from monai_brain.inference import gates

NA, OUT, ABSTAINED = gates.NOT_APPLICABLE, gates.OUTSIDE, gates.ABSTAINED
TOMO = "1.2.840.10008.5.1.4.1.1.13.1.3"


def results(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()]


def modified(code, meaning="x"):
    """A CC view with a modifier."""
    from pydicom.dataset import Dataset

    view, modifier = Dataset(), Dataset()
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = "399162004", "SCT", "cranio-caudal"
    modifier.CodeValue, modifier.CodingSchemeDesignator, modifier.CodeMeaning = code, "SCT", meaning
    view.ViewModifierCodeSequence = [modifier]
    return {"ViewCodeSequence": [view]}


MG = {"Modality": "MG", "ViewPosition": "CC", "ImageLaterality": "L", "BodyPartExamined": "BREAST"}


@pytest.mark.parametrize(
    ("changes", "status", "word"),
    [
        ({}, "done", ""),
        ({"BodyPartExamined": "BRAIN W CONTRAST"}, "done", ""),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"]}, "done", ""),
        ({"Modality": "CT"}, NA, "modality CT"),
        ({"BodyPartExamined": "KNEE"}, NA, "body part KNEE"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, OUT, "LOCALIZER"),
        ({"ImageType": ["DERIVED", "SECONDARY"]}, OUT, "DERIVED"),
        ({"EchoTime": 95, "RepetitionTime": 4000}, OUT, "T2"),
        ({"EchoTime": 95, "RepetitionTime": 9000, "InversionTime": 2500}, OUT, "FLAIR"),
        ({"ScanningSequence": ["EP", "SE"]}, OUT, "EPI"),
        ({"Modality": "CT", "ImageType": ["DERIVED", "SECONDARY"]}, NA, "modality CT"),
    ],
)
def test_brain(changes, status, word, tiny_like, dicom, tmp_path, capsys):
    model, path = tiny_like("brain_tumor_resnet34"), dicom("a.dcm", **changes)
    assert main(["predict", str(model.root), str(path), "-o", str(tmp_path / "out")]) == 0
    [line] = results(tmp_path / "out")
    assert line["status"] == status
    assert word in line.get("reason", "")
    assert ("predicted" in line) == (status == "done")
    assert f"1 {status}" in capsys.readouterr().out
    if status != "done":
        assert main(["predict", str(model.root), str(path), "-o", str(tmp_path / "forced"), "--force"]) == 0
        [line] = results(tmp_path / "forced")
        assert line["status"] == "done"
        assert line["predicted"] in model.labels
        assert line["forced"].startswith(status)


@pytest.mark.parametrize(
    ("changes", "status", "word"),
    [
        ({}, "done", ""),
        ({"PresentationIntentType": "FOR PRESENTATION"}, "done", ""),
        ({"PresentationIntentType": "FOR PROCESSING"}, NA, "FOR PROCESSING"),
        (modified("399055006"), NA, "SPOT"),
        (modified("R-102D7"), NA, "SPOT"),
        (modified("399163009"), NA, "MAGNIFICATION"),
        (modified("399209000"), NA, "IMPLANT DISPLACED"),
        ({"SpecimenIdentifier": "A1"}, NA, "specimen"),
        ({"SOPClassUID": TOMO}, NA, "tomosynthesis"),
        ({"PartialView": "YES"}, NA, "partial view"),
        ({"ViewPosition": "XCCL"}, ABSTAINED, "XCCL"),
        ({"Modality": "MR"}, NA, "modality MR"),
    ],
)
def test_mammograms_that_cannot_be_judged_are_never_called_incomplete(
    changes, status, word, tiny_like, dicom, tmp_path
):
    model = tiny_like("mammography_quality_parb_kan")
    path = dicom("a.dcm", **(MG | changes))
    assert main(["predict", str(model.root), str(path), "-o", str(tmp_path / "out")]) == 0
    [line] = results(tmp_path / "out")
    assert (line["status"], word in line.get("reason", "")) == (status, True), line
    assert ("predicted" in line) == (status == "done")


def test_pictures_too_small_or_without_contrast(tiny_like, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 60)).astype(np.uint8)
    for name, image in (("good", noise), ("small", noise[:20]), ("flat", noise // 64)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
    model = tiny_like("brain_tumor_efficientnet_b2")
    assert main(["predict", str(model.root), str(tmp_path / "*.png"), "-o", str(tmp_path / "out")]) == 0
    found = {
        line["case"]: (line["status"], line.get("reason", "")[:11]) for line in results(tmp_path / "out")
    }
    assert found == {
        "flat.png": (NA, "no contrast"),
        "good.png": ("done", ""),
        "small.png": (NA, "too small ("),
    }


def test_a_colour_or_ct_model_has_gates_of_its_own_or_none(dicom, tmp_path):
    from monai_brain.testing.tiny import tiny_bundle

    model = tiny_bundle(tmp_path / "tiny", weights=True)
    answers = mb.predict(model, dicom("ct.dcm", Modality="CT", BodyPartExamined="CHEST"))
    assert len(answers.predictions) == 1


@pytest.mark.parametrize(
    "name", ["brain_tumor_resnet34", "brain_tumor_efficientnet_b2", "mammography_quality_parb_kan"]
)
def test_the_models_have_gates(name):
    assert gates.gates(mb.bundle(name))


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ({"among": [1]}, "names no fact"),
        ({"fact": "modality"}, "must hold one of"),
        ({"fact": "modality", "amongst": ["MR"]}, "Did you mean 'among'"),
        ({"fact": "modality", "among": ["MR"], "otherwise": "no"}, "otherwise is 'no'"),
        ({"fact": "modality", "among": ["MR"], "least": 1}, "must hold one of"),
    ],
)
def test_a_rule_that_is_none(rule, word, tmp_path):
    from monai_brain.testing.tiny import tiny_bundle

    path = tiny_bundle(tmp_path / "tiny").root / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["monai_brain"]["gates"] = [rule]
    path.write_text(json.dumps(metadata), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=word):
        gates.gates(Bundle.at(tmp_path / "tiny"))

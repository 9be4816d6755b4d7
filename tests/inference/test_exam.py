"""An examination as one row: its views, those that are missing, the verdict."""

from __future__ import annotations

import csv
import json

import pytest

import monai_brain as mb
from monai_brain.cli import main
from monai_brain.inference.exam import judged

MODEL = "mammography_quality_parb_kan"


def views(*said):
    return [
        {"case": str(number), "side": side, "view": view, "status": status, "predicted": predicted,
         "probability": None, "reason": ""}
        for number, (side, view, status, predicted) in enumerate(said)
    ]  # fmt: skip


WHOLE = [(side, view, "done", "complete") for side in "RL" for view in ("CC", "MLO")]


@pytest.mark.parametrize(
    ("said", "verdict", "missing"),
    [
        (WHOLE, "complete", []),
        (WHOLE[:3], "undecided", ["L MLO"]),
        ([*WHOLE[:3], ("L", "MLO", "done", "incomplete")], "incomplete", []),
        ([("L", "MLO", "done", "incomplete")], "incomplete", ["R CC", "L CC", "R MLO"]),
        ([*WHOLE[:3], ("L", "MLO", "abstained", "")], "undecided", []),
        ([*WHOLE, ("L", "CC", "not applicable", "")], "complete", []),
        ([*WHOLE[:3], ("L", "MLO", "not applicable", "")], "undecided", ["L MLO"]),
        ([*WHOLE[:3], ("L", "MLO", "failed", "")], "undecided", []),
    ],
)
def test_verdicts(said, verdict, missing):
    found = judged("x", views(*said), mb.bundle(MODEL))
    assert (found["verdict"], found["missing"]) == (verdict, missing)
    assert len(found["right"]) + len(found["left"]) == len(said)
    assert found["disclaimer"]


def test_one_row_an_exam(tiny_like, dicom, tmp_path, capsys):
    pydicom = pytest.importorskip("pydicom")
    model = tiny_like(MODEL)
    studies = [pydicom.uid.generate_uid() for _ in range(2)]
    for number, study in enumerate(studies):
        for side, view in [("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO")][: 4 - number]:
            dicom(
                f"in/{number}{side}{view}.dcm", Modality="MG", ViewPosition=view, ImageLaterality=side,
                StudyInstanceUID=study, PresentationIntentType="FOR PRESENTATION",
            )  # fmt: skip
    out = tmp_path / "out"
    assert main(["predict", str(model.root), str(tmp_path / "in"), "-o", str(out), "--exam"]) == 0
    exams = [json.loads(line) for line in (out / "exams.jsonl").read_text("utf-8").splitlines()]
    assert sorted(len(one["right"]) + len(one["left"]) for one in exams) == [3, 4]
    assert sorted(one["missing"] for one in exams) == [[], ["L MLO"]]
    with (out / "exams.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["verdict"] for row in rows] == [one["verdict"] for one in exams]
    assert not any(study in (out / "exams.jsonl").read_text("utf-8") for study in studies)
    assert ", missing L MLO" in capsys.readouterr().out
    assert main(["predict", str(tiny_like("brain_tumor_resnet34").root), str(tmp_path / "in"), "--exam"]) == 2

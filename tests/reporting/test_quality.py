"""Quality control: counts and rates of what predict wrote, held against counting by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from monai_brain.cli import main
from monai_brain.errors import ConfigurationError
from monai_brain.evaluation import predictions
from monai_brain.evaluation.intervals import wilson
from monai_brain.evaluation.prediction_rows import Predictions
from monai_brain.evaluation.rates import mean_of, rate
from monai_brain.reporting.quality import quality

MODEL = "mammography_quality_parb_kan"
VIEWS = [("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO")]


@pytest.fixture
def answers(tmp_path):
    """60 examinations of four views over three months and two stations; every left MLO of a month is cut."""
    rows = []
    for study in range(60):
        for side, view in VIEWS:
            cut = side + view == "LMLO" and study % 3 == 1
            rows.append((f"{study} {side}{view}", cut, study == 7, study, side, view))
    chance = np.array([0.9 if cut else 0.2 for _, cut, *_ in rows])
    found = Predictions(
        ("complete", "incomplete"),
        [case for case, *_ in rows],
        np.stack([1 - chance, chance], axis=1),
        abstain=[doubt for _, _, doubt, *_ in rows],
        group=[f"study {study}" for *_, study, _, _ in rows],
        model=MODEL,
        meta={
            "month": [f"2026-0{study % 3 + 1}" for *_, study, _, _ in rows],
            "view_position": [view for *_, view in rows],
            "laterality": [side for *_, side, _ in rows],
            "station": ["ab" if study < 30 else "" for *_, study, _, _ in rows],
        },
    )
    predictions.write(found, tmp_path / "predictions.csv")
    with (tmp_path / "results.jsonl").open("w", encoding="utf-8") as stream:
        for case, _, doubt, *_ in rows:
            stream.write(json.dumps({"case": case, "status": "abstained" if doubt else "done"}) + "\n")
        stream.write('{"case": "x", "status": "failed"}\n')
    with (tmp_path / "exams.jsonl").open("w", encoding="utf-8") as stream:
        for missing in ([], ["L MLO"]):
            stream.write(json.dumps({"verdict": "complete", "missing": missing}) + "\n")
    return tmp_path


def test_counts_by_hand(answers):
    found = quality(answers)
    assert found["inputs"] == {"abstained": 4, "done": 236, "failed": 1}
    assert (found["images"], found["abstained"], found["examinations"], found["spoiled"]) == (236, 4, 60, 19)
    assert found["rate"]["value"] == pytest.approx(19 / 236)
    assert found["verdicts"] == {"verdict": {"complete": 2}, "missing": {"L MLO": 1}}
    by = {name: {one["value"]: one for one in strata} for name, strata in found["by"].items()}
    assert list(by["month"]) == ["2026-01", "2026-02", "2026-03"]
    assert by["month"]["2026-02"]["rate"]["value"] == pytest.approx(0.25)
    assert (by["view"]["CC"]["spoiled"], by["view"]["MLO"]["spoiled"]) == (0, 19)
    assert (by["side"]["R"]["spoiled"], by["side"]["L"]["images"]) == (0, 118)
    assert (by["station"]["ab"]["examinations"], by["station"][""]["examinations"]) == (30, 30)
    none = by["view"]["CC"]["rate"]  # no draw would differ: one observation an examination
    assert (none["low"], none["high"]) == pytest.approx(wilson(0.0, 59))


def test_whole_examinations_are_drawn():
    groups = np.repeat(np.arange(50), 4)
    tied, loose = np.repeat(np.arange(50) % 5 == 0, 4), np.arange(200) % 5 == 0
    wide, narrow = rate(tied, groups), rate(loose, np.arange(200))
    assert wide.value == narrow.value == pytest.approx(0.2)
    assert narrow.high - narrow.low == pytest.approx(2 * 1.96 * (0.2 * 0.8 / 200) ** 0.5, rel=0.15)
    assert wide.high - wide.low > 1.8 * (narrow.high - narrow.low)
    assert (rate(loose, None).low, rate(loose, None).high) == pytest.approx(wilson(0.2, 200))
    assert np.isnan(rate(loose[:0], None).value)
    assert np.isnan(mean_of(np.array([1.0, 2.0]), ["a", "a"]).low)


def test_the_command_writes_a_page_and_its_figures(answers, capsys):
    assert main(["report", str(answers), "--qa", "--draws", "200"]) == 0
    assert "19 of 236 images incomplete, 0.081" in capsys.readouterr().out
    page = (answers / "qa.html").read_text("utf-8")
    for words in (
        "By month",
        "2026-02",
        "By station",
        "not stated",
        "Research use only",
        "examinations without",
    ):
        assert words in page
    figures = json.loads((answers / "qa.json").read_text("utf-8"))
    assert main(["report", str(answers), "--qa", "--draws", "200", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again.pop("path") == str(answers / "qa.html")
    assert again == figures


def test_a_model_that_judges_no_quality_is_refused(answers):
    with pytest.raises(ConfigurationError, match=r"no monai_brain\.exam"):
        quality(answers, "brain_tumor_resnet34")

"""The checklist, the methods and the BibTeX say what the files tell, and no more."""

from __future__ import annotations

import re

import pytest

from monai_brain.evaluation.predictions import Predictions, write
from monai_brain.reporting import claim, data_card, methods
from monai_brain.reporting.claim_answers import ANSWERS
from monai_brain.reporting.evidence import Evidence
from monai_brain.reporting.findings import find
from monai_brain.reporting.heat import Maps
from monai_brain.reporting.source import read_source


def evidence_of(path):
    found = find(read_source(path), None, 50, 0)
    return Evidence(found.source, found.arm, found.arms, Maps())


@pytest.fixture
def foreign(tmp_path):
    rows = Predictions(("a", "b"), list("wxyz"), [[0.9, 0.1]] * 3 + [[0.2, 0.8]], label=[0, 0, 1, 1])
    write(rows, tmp_path / "mine.csv")
    return evidence_of(tmp_path / "mine.csv")


def test_the_checklist_is_that_of_2024_in_order(foreign):
    content, items = claim.checklist(foreign)
    assert content["version"] == "CLAIM 2024 Update"
    assert "10.1148/ryai.240300" in content["citation"]
    assert [item.number for item in items] == list(range(1, 45))
    assert {one["answer"] for one in content["items"] if "answer" in one} == set(ANSWERS)
    assert all(0 < len(item.asks) < 80 for item in items)


def test_of_a_bare_file_nothing_is_assumed(foreign):
    _, items = claim.checklist(foreign)
    answered = {item.number for item in items if item.answer is not None}
    assert answered == {12, 28, 29, 35, 37, 38, 39}
    table = claim.table(items)
    assert [row[2] for row in table.rows].count(claim.AUTHOR) == 44 - len(answered)
    html = claim.html(*claim.checklist(foreign))
    assert html.count(f">{claim.AUTHOR}<") == 44 - len(answered)


def test_a_run_answers_more_and_links_to_it(run):
    evidence = evidence_of(run)
    _, items = claim.checklist(evidence)
    answered = {item.number for item in items if item.answer is not None}
    assert {1, 3, 22, 23, 26, 32, 42} <= answered
    # Who labelled the data, how they were acquired, who paid: no file of a run can know.
    assert not answered & {2, 4, 5, 8, 11, 13, 14, 15, 16, 17, 18, 21, 34, 36, 40, 41, 44}
    sections = {"results", "curves", "cases", "data", "model", "manifest"}
    assert {item.answer.section for item in items if item.answer} <= sections


def test_methods_hold_only_what_is_recorded(foreign, run):
    bare = methods.paragraph(foreign)
    assert bare.startswith("Images were classified as a or b. 4 images were measured.")
    assert "trained" not in bare
    assert "patient" not in bare
    told = methods.paragraph(evidence_of(run))
    assert "by brain_tumor_resnet34" in told
    assert "PyTorch 2.15" in told
    assert "best epoch by validation accuracy" in told
    assert "split by the scheme" not in told  # the manifest names none


def test_bibtex_is_well_formed(run):
    entries = methods.bibtex(evidence_of(run))
    assert re.findall(r"^@(\w+)\{(\w+),$", entries, re.MULTILINE) == [
        ("article", "li2025"),
        ("software", "monai_brain"),
        ("article", "cardoso2022monai"),
        ("article", "tejani2024claim"),
    ]
    depth = 0
    for sign in entries:
        depth += {"{": 1, "}": -1}.get(sign, 0)
        assert depth >= 0
    assert depth == 0


def test_the_flow_counts_images_and_patients(run):
    found = find(read_source(run), None, 50, 0)
    steps = {step[0]: step[1:3] for step in data_card.flow(found.source, found.arm)}
    assert steps == {"Chosen by (validation)": (20, 5), "Tested": (40, 10), "Measured here": (40, 10)}
    table = data_card.counts(found.arm)
    assert table.header[1:] == ["Validation images", "Validation patients", "Test images", "Test patients"]
    assert table.rows[-1] == ["all", 20, 5, 40, 10]
    assert [sum(row[3] for row in table.rows[:-1])] == [40]

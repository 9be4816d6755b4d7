"""Which series are taken, by one rule, and why the others are not."""

from __future__ import annotations

import json

import pytest

from monai_brain.cli import main
from monai_brain.errors import ConfigurationError
from monai_brain.inference.series import Series, choose, rule

RULE = {
    "modality": ["MR"],
    "orientation": ["axial"],
    "weighting": ["T1"],
    "scanning_sequence": ["SE", "GR"],
    "without_image_type": ["LOCALIZER"],
    "contrast_agent": True,
    "least_slices": 3,
    "one": True,
}
GOOD = {
    "modality": "MR", "orientation": "axial", "weighting": "T1", "scanning_sequence": ["SE"],
    "contrast_agent": True, "image_type": ["ORIGINAL", "PRIMARY"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "slices", "reason"),
    [
        ({}, 3, None),
        ({"modality": "CT"}, 9, "modality CT, wanted MR"),
        ({"orientation": "sagittal"}, 9, "orientation sagittal, wanted axial"),
        ({"weighting": "T2"}, 9, "weighting T2"),
        ({"scanning_sequence": ["EP"]}, 9, "scanning sequence EP, wanted SE, GR"),
        ({"image_type": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, 9, "image type LOCALIZER"),
        ({"contrast_agent": None}, 9, "no contrast agent is stated"),
        ({}, 2, "2 slices, at least 3 wanted"),
        ({"weighting": None}, 3, None),
    ],
)
def test_each_part_of_the_rule(changes, slices, reason):
    facts = {key: value for key, value in (GOOD | changes).items() if value is not None}
    [choice] = choose([Series("a", "s", facts, slices)], RULE)
    assert choice.taken == (reason is None)
    assert (reason or "3 slices") in str(choice)


def test_of_several_series_of_one_study_the_longest_is_taken():
    found = [Series("a", "s", GOOD, 5), Series("b", "s", GOOD, 8), Series("c", "t", GOOD, 3)]
    assert [one.taken for one in choose(found, RULE)] == [False, True, True]
    assert "series b of the same study has 8 slices" in str(choose(found, RULE)[0])
    assert all(one.taken for one in choose(found, {**RULE, "one": False}))


def test_without_a_rule_all_are_taken():
    assert choose([Series("a", "s")], {})[0].taken


def test_a_key_that_is_none(tiny_like):
    model = tiny_like("brain_tumor_resnet34")
    model.facts["series"] = {"modalities": ["MR"]}
    with pytest.raises(ConfigurationError, match="Did you mean 'modality'"):
        rule(model)


def test_predict_says_why_and_withholds_labels_from_the_others(tiny_like, dicom, tmp_path, capsys):
    pydicom = pytest.importorskip("pydicom")
    study, wanted, plain = (pydicom.uid.generate_uid() for _ in range(3))
    axial = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "StudyInstanceUID": study}
    for number in range(3):
        agent = {"ContrastBolusAgent": "GD", "SeriesInstanceUID": wanted}
        dicom(f"in/a{number}.dcm", **axial, **agent)
        dicom(f"in/b{number}.dcm", **axial, SeriesInstanceUID=plain)
    model, out = tiny_like("brain_tumor_resnet34"), tmp_path / "out"
    words = ["predict", str(model.root), str(tmp_path / "in"), "-o", str(out), "--explain-selection"]
    assert main(words) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("series ")]
    assert [" taken: " in line and " not taken: " not in line for line in said] == [True, False]
    assert "no contrast agent is stated" in said[1]
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text("utf-8").splitlines()]
    assert [line["status"] for line in lines] == ["done"] * 3 + ["outside training domain"] * 3
    [study_line] = [json.loads(line) for line in (out / "studies.jsonl").read_text("utf-8").splitlines()]
    assert (study_line["slices"], study_line["slices_counted"]) == (3, 3)
    means = [sum(line["probabilities"][name] for line in lines[:3]) / 3 for name in model.labels]
    assert list(study_line["probabilities"].values()) == pytest.approx(means)
    assert wanted not in said[0]

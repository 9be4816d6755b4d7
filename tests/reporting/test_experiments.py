"""Folders of experiments: what they recorded stands in the page, in whatever of the known shapes."""

from __future__ import annotations

import json

import pytest

import monai_brain as mb
from monai_brain.evaluation.predictions import put_together, write
from monai_brain.reporting import paper
from monai_brain.reporting.page import report
from monai_brain.reporting.paths import unplaced
from monai_brain.reporting.recorded import noted, recorded
from monai_brain.reporting.sheet import Estimate
from monai_brain.reporting.source import read_source

from .conftest import Strict, predicted, recorded_epochs

FIGURE = {"value": 0.9, "low": 0.8, "high": 0.95, "method": "BCa"}


def told(path, **content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"schema_version": 1, **content}), encoding="utf-8")


def test_recorded_tables_have_ours_and_the_papers_side_by_side():
    rows = [
        {
            "name": "plain", "model": "m", "variant": "v", "leakage": None,
            "ours": {"accuracy": FIGURE, "parameters": 12}, "by_patient": {"accuracy": FIGURE, "f1": FIGURE},
            "paper": {"table": "Table 2", "accuracy": 0.97},
        },
        {"name": "other", "ours": {"accuracy": 0.5}, "by_patient": None, "paper": None},
    ]  # fmt: skip
    (table,) = recorded({"schema_version": 1, "tables": [{"name": "Ablation", "rows": rows}]}).tables
    assert table.header == ["Name", "Accuracy", "Accuracy, paper", "Parameters", "Accuracy, by patient"]
    assert table.rows[0] == [
        "plain", Estimate.of(FIGURE), Estimate(0.97), 12, Estimate.of(FIGURE),
    ]  # fmt: skip
    assert table.rows[1] == ["other", Estimate(0.5), "", "", ""]
    assert table.caption == "Ablation"


def test_recorded_tests_keep_their_corrected_p_values():
    row = {
        "name": "a - b",
        "difference": {"accuracy": {"difference": 0.1, "low": 0.05, "high": 0.15, "p": 0.01}},
        "mcnemar": {"p": 0.5, "p_holm": 0.75},
        "mcnemar_by_patient": None,
    }
    found = recorded({"tables": [{"name": "Differences", "rows": [row], "notes": ["Read this."]}]})
    (table,) = found.tables
    assert table.rows == [["a - b", Estimate(0.1, 0.05, 0.15), "0.750"]]
    assert found.notes == ["Read this."]


@pytest.mark.parametrize(
    "content",
    [
        {"Mine": [{"name": "x", "accuracy": 0.5}]},
        {"Mine": {"rows": [["x", 0.5]], "columns": ["name", "accuracy"]}},
        [{"title": "Mine", "rows": [{"name": "x", "accuracy": 0.5}]}],
    ],
)
def test_tables_are_read_in_several_shapes(content):
    (table,) = recorded(content).tables
    assert (table.caption, list(table.header)) == ("Mine", ["Name", "Accuracy"])
    assert table.rows == [["x", Estimate(0.5)]]


@pytest.mark.parametrize("content", [None, {}, [], 3, {"tables": None}, {"tables": [{"rows": 3}, 4]}])
def test_what_is_no_table_is_none(content):
    assert recorded(content).tables == []


def test_a_control_is_told_in_words():
    shuffled = {"balanced_accuracy": FIGURE, "chance": {"balanced_accuracy": 0.25}, "at_chance": False}
    (says,) = noted({"controls": {"shuffled_labels": shuffled}})
    assert "0.900 (0.800\u20130.950), chance 0.250: not at chance: something leaks." in says
    assert noted({"notes": ["Hear."], "controls": {}}) == ["Hear."]


def test_a_cross_validation_is_told_fold_by_fold(tmp_path):
    parts = [
        predicted(40, seed=fold, split="test", fold=fold, repeat=0, case=[f"{fold}_{i}" for i in range(40)],
                  patient_id=[f"{fold}_{i // 4}" for i in range(40)])
        for fold in range(3)
    ]  # fmt: skip
    jobs = [{"name": f"fold_{fold}", "run": f"runs/fold_{fold}", "fold": fold} for fold in range(4)]
    for fold in range(3):  # the fourth has not begun
        recorded_epochs(tmp_path / "runs" / f"fold_{fold}")
    write(put_together(parts), tmp_path / "predictions.csv")
    told(tmp_path / "experiment.json", kind="cross-validation", leakage="record-wise", jobs=jobs)
    source = report(tmp_path, draws=50).read_text(encoding="utf-8")
    found = Strict(source)
    rows = [text for _, text in found.all("th", scope="row")]
    assert rows[rows.index("fold 0") :][:6] == ["fold 0", "fold 1", "fold 2", "mean", "SD", "paper, mean"]
    assert "Mean of 3 folds (SD)" in [text for _, text in found.all("th", scope="col")]
    assert found.all("p", role="alert")
    assert "One curve for each of 3 trainings." in source
    assert any("folds 0 to 2, pooled" in text for _, text in found.all("small"))


def test_another_split_within_does_not_mark_this_one(tmp_path):
    write(predicted(40, split="test"), tmp_path / "predictions.csv")
    jobs = [{"name": name, "run": f"{name}runs/fold_0", "fold": 0} for name in ("", "kfold/")]
    for job in jobs:
        recorded_epochs(tmp_path / job["run"])
        told(
            tmp_path / job["run"] / "manifest.json",
            datalist={"leakage": "record-wise" if job["name"] else None},
        )
    told(tmp_path / "experiment.json", kind="cross-validation", leakage=None, beside=["kfold"], jobs=jobs)
    source = read_source(tmp_path)
    assert [run.folder for run in source.runs] == [tmp_path / "runs" / "fold_0"]
    assert source.leakage is None


def test_a_robustness_test_shows_its_curves_and_the_clean_cases(tmp_path):
    clean = predicted(40, split="test")
    faulty = clean.replaced(variant="blur:5", meta={"fault": ["blur"] * 40, "severity": ["5"] * 40})
    write(put_together([clean, faulty]), tmp_path / "predictions.csv")
    told(tmp_path / "experiment.json", kind="robustness", jobs=[], faults=["blur"])
    points = [{"severity": grade, "accuracy": FIGURE} for grade in (0, 5)]
    told(tmp_path / "metrics.json", curves=[{"fault": "blur", "points": points}])
    found = Strict(report(tmp_path, draws=50).read_text(encoding="utf-8"))
    assert found.data["rows"] == 40
    assert "Blur" in [attributes["aria-label"] for attributes, _ in found.all("svg", role="img")]
    (answer,) = [text for _, text in found.all("td") if text.startswith("Faults of graded severity.")]
    assert answer


def test_a_transfer_tells_what_was_left_out_and_the_papers_other_figure(tmp_path):
    classes = ("glioma", "meningioma", "pituitary")
    write(
        predicted(40, classes, split="test", model="brain_tumor_efficientnet_b2"),
        tmp_path / "predictions.csv",
    )
    left, copies = {"no_tumor": 12}, [{"case": "a"}]
    told(tmp_path / "experiment.json", kind="transfer", jobs=[], left_out_of_other_classes=left,
         copies_of_training_images=copies)  # fmt: skip
    source = read_source(tmp_path)
    bundle = mb.bundle("brain_tumor_efficientnet_b2")
    assert paper.figures(source, bundle, bundle.name, "") == {"accuracy": pytest.approx(0.9251)}
    found = Strict(report(tmp_path, draws=50).read_text(encoding="utf-8"))
    steps = [text for _, text in found.all("li")]
    assert any(step.startswith("Left out: other classes12 images") for step in steps)
    assert any(step.startswith("Left out: copies of training images1 images") for step in steps)


def test_the_papers_figures_of_a_variant_and_of_its_classes(tmp_path):
    write(predicted(40), tmp_path / "predictions.csv")
    source = read_source(tmp_path)
    ours = mb.bundle("brain_tumor_resnet34")
    assert paper.default_variant(ours) == "resnet34_abc"
    assert paper.figures(source, ours, ours.name, "resnet34_a") == {"accuracy": 0.9833}
    assert paper.figures(source, ours, ours.name, "")["macro_f1"] == pytest.approx(0.9851)
    assert paper.figures(source, ours, "stranger", "") == {}
    # A baseline's figures stand in the paper of the model that it is compared with.
    assert paper.figures(source, mb.bundle("baseline"), "baseline", "vgg16")["accuracy"] == pytest.approx(
        0.9577
    )
    b2 = mb.bundle("brain_tumor_efficientnet_b2")
    assert paper.by_class(b2, "", b2.labels)["meningioma"]["recall"] == 0.9789
    assert paper.by_class(ours, "", ours.labels) == {}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("--datalist=/home/ann/secret/folds.json", "--datalist=folds.json"),
        ("['/a/b/train.json','/a/b/multi.json']", "['train.json','multi.json']"),
        ("C:\\Users\\ann\\folds.json", "folds.json"),
        ("\\\\server\\ann\\x.csv and file:///home/ann/y", "x.csv and y"),
        ("~/ann/x.pt", "x.pt"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("image_size=64 a/b", "image_size=64 a/b"),
        ("--x=/home/ann lee/my runs/a b.json", "--x=a b.json"),
        ("no file /home/ann/x here", "no file x here"),
        ("Linux-6.18-x86_64", "Linux-6.18-x86_64"),
    ],
)
def test_paths_are_cut_to_their_last_part(given, kept):
    assert unplaced(given) == kept
    assert unplaced({"a": [given]}) == {"a": [kept]}

"""metrics.json as a whole: its figures against scikit-learn, its notes against what was done to the data."""

import json

import numpy as np
import pytest
from sklearn import metrics as oracle

from monai_brain.errors import ConfigurationError, DataError, UnknownNameError
from monai_brain.evaluation import intervals, judge
from monai_brain.evaluation.predictions import Predictions, put_together, write

CLASSES = ("glioma", "meningioma", "pituitary")
FAST = {"draws": 50}


def run(patients=40, size=6, seed=0, classes=CLASSES, prefix="p", **columns):
    """Test predictions of patients whose slices resemble each other, each patient in one of four folds."""
    draw = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), size)
    label = draw.integers(0, len(classes), patients)[patient]
    logits = draw.normal(size=(patients, len(classes)))[patient] + draw.normal(
        size=(len(patient), len(classes))
    )
    logits[np.arange(len(patient)), label] += 2
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = [f"{prefix}{one}" for one in patient]
    defaults = {"split": "test", "fold": patient % 4, "patient_id": names, "model": "m", "logits": logits}
    case = [f"{name}/{i}.png" for i, name in enumerate(names)]
    return Predictions(classes, case, probs, label=label, **(defaults | columns))


def note(metrics, words):
    return [text for text in metrics["notes"] if words in text]


def test_the_figures_by_case_are_scikit_learns():
    given = run()
    found = judge.evaluate(given, **FAST)
    overall = {name: figure["value"] for name, figure in found["by_case"]["overall"].items()}
    assert overall["accuracy"] == pytest.approx(oracle.accuracy_score(given.label, given.predicted))
    assert overall["macro_f1"] == pytest.approx(
        oracle.f1_score(given.label, given.predicted, average="macro")
    )
    assert overall["macro_auroc"] == pytest.approx(
        oracle.roc_auc_score(given.label, given.probs, multi_class="ovr")
    )
    matrix = oracle.confusion_matrix(given.label, given.predicted).tolist()
    assert found["by_case"]["confusion_matrix"]["counts"] == matrix
    recall = oracle.recall_score(given.label, given.predicted, average=None)
    for index, name in enumerate(CLASSES):
        each = found["by_case"]["per_class"][name]
        assert each["recall"]["value"] == pytest.approx(recall[index])
        assert each["cases"] == sum(matrix[index])
        assert each["recall"]["low"] <= each["recall"]["value"] <= each["recall"]["high"]
        assert each["recall"]["method"] == intervals.GROUPS
    assert found["by_case"]["cases"] == 240 and found["by_case"]["groups"] == 40


def test_the_figures_by_patient_are_of_mean_probabilities():
    given = run()
    found = judge.evaluate(given, **FAST)["by_patient"]
    right = []
    for patient in sorted(set(given.patient_id)):
        own = given.patient_id == patient
        right.append(given.probs[own].mean(axis=0).argmax() == given.label[own][0])
    assert found["cases"] == 40
    assert found["overall"]["accuracy"]["value"] == pytest.approx(np.mean(right))
    assert found["rule"] == "mean" and "mean of the probabilities" in found["rule_in_words"]
    assert judge.evaluate(given, patient_rule="majority", **FAST)["by_patient"]["rule"] == "majority"


def test_folds_are_measured_apart_and_their_mean_is_theirs():
    given = run()
    found = judge.evaluate(given, **FAST)["by_fold"]
    expected = [
        oracle.accuracy_score(given.label[given.fold == fold], given.predicted[given.fold == fold])
        for fold in range(4)
    ]
    assert [fold["accuracy"] for fold in found["folds"]] == pytest.approx(expected)
    assert [fold["fold"] for fold in found["folds"]] == [0, 1, 2, 3]
    assert found["mean"]["accuracy"] == pytest.approx(np.mean(expected))
    assert found["standard_deviation"]["accuracy"] == pytest.approx(np.std(expected, ddof=1))
    assert judge.evaluate(run(fold=0), **FAST)["by_fold"] is None


def test_the_result_is_json_and_the_same_from_the_file(tmp_path):
    given = run(meta={"vendor": ["x", "y"] * 120, "age": np.arange(240)})
    write(given, tmp_path / "predictions.csv")
    found = judge.evaluate(tmp_path / "predictions.csv", **FAST)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found == judge.evaluate(given, **FAST)
    assert found["schema_version"] == 1 and found["model"] == "m" and found["classes"] == list(CLASSES)
    assert found["interval"] == {"draws": 50, "seed": 0, "level": 0.95, "few_groups": True}


def test_subgroups_are_columns_with_a_few_values():
    plane = np.array(["axial", "coronal", ""])[np.arange(240) % 3]
    given = run(plane=plane, source="one", meta={"vendor": ["x", "y"] * 120, "age": np.arange(240)})
    found = judge.evaluate(given, **FAST)
    assert set(found["subgroups"]) == {"plane", "vendor"}
    assert set(found["subgroups"]["plane"]) == {"axial", "coronal", "unknown"}
    own = plane == "axial"
    axial = found["subgroups"]["plane"]["axial"]
    assert axial["cases"] == 80
    assert axial["overall"]["accuracy"]["value"] == pytest.approx(
        (given.label == given.predicted)[own].mean()
    )
    assert set(judge.evaluate(given, subgroups=["fold"], **FAST)["subgroups"]["fold"]) == set("0123")
    with pytest.raises(UnknownNameError, match="Did you mean 'plane'"):
        judge.evaluate(given, subgroups=["plan"], **FAST)


def test_the_test_split_is_measured_unless_another_is_chosen():
    given = put_together(
        [run(10), run(12, prefix="v", split="validation"), run(3, prefix="t", split="train")]
    )
    assert judge.evaluate(given, **FAST)["cases"]["measured"] == 60
    found = judge.evaluate(given, split="validation", where={"fold": (0, 1)}, **FAST)
    assert found["split"] == "validation" and found["cases"]["measured"] == 36
    with pytest.raises(ConfigurationError, match="Choose one of 'train', 'validation'"):
        judge.evaluate(given.where(split=("train", "validation")), **FAST)
    with pytest.raises(ConfigurationError, match="There are: 'test'"):
        judge.evaluate(run(4), split="validation", **FAST)
    assert judge.evaluate(run(4, split=""), **FAST)["split"] is None
    assert judge.evaluate(run(4, split="validation"), **FAST)["split"] == "validation"


def test_several_models_or_variants_are_not_measured_as_one(tmp_path):
    given = put_together([run(4, variant="A"), run(4, variant="B")])
    with pytest.raises(ConfigurationError, match="Several values of variant"):
        judge.evaluate(given, **FAST)
    assert judge.evaluate(given, where={"variant": "B"}, **FAST)["variant"] == "B"
    write(given, tmp_path / "two.csv")
    with pytest.raises(ConfigurationError, match=r"two\.csv: Several"):
        judge.evaluate(tmp_path / "two.csv", **FAST)


def test_a_temperature_is_fitted_where_validation_rows_stand_beside():
    test, held = run(30, fold=0), run(30, seed=1, prefix="v", split="validation", fold=0)
    found = judge.evaluate(put_together([test, held]), **FAST)["calibration"]
    assert [one["cases"] for one in found["after_temperature"]["temperatures"]] == [180]
    assert found["after_temperature"]["negative_log_likelihood"] > 0
    assert sum(one["cases"] for one in found["reliability"]) == 180
    assert judge.evaluate(test, **FAST)["calibration"]["after_temperature"] is None
    other_fold = put_together([test, held.replaced(fold=1)])
    assert judge.evaluate(other_fold, **FAST)["calibration"]["after_temperature"] is None


def test_leakage_is_marked_when_told_and_when_the_predictions_show_it():
    clean = run()
    assert judge.evaluate(clean, **FAST)["leakage"] is None
    assert not note(judge.evaluate(clean, **FAST), "Leakage")
    shuffled = clean.replaced(fold=np.arange(240) % 4)
    beside = clean.subset(clean.fold == 0)
    trained = run(1, seed=1, split="train", fold=0, prefix="q").replaced(patient_id="p0")
    for metrics in (
        judge.evaluate(clean, leakage="record-wise", **FAST),
        judge.evaluate(clean.replaced(meta={"leakage": ["record-wise"] * 240}), **FAST),
        judge.evaluate(shuffled, **FAST),
        judge.evaluate(put_together([beside, trained]), **FAST),
    ):
        assert metrics["leakage"] == "record-wise"
        assert note(metrics, "Leakage: the data were split record-wise")
    assert judge.evaluate(put_together([beside, trained.replaced(fold=1)]), **FAST)["leakage"] is None


def test_notes_tell_what_was_left_out():
    given = run(fold=0)
    abstain, label = np.zeros(240, bool), given.label.copy()
    abstain[:7], label[100:120] = True, -1
    found = judge.evaluate(given.replaced(abstain=abstain, label=label), notes=["selected on test"], **FAST)
    assert found["cases"] == {"given": 240, "unlabelled": 20, "abstained": 7, "measured": 213, "groups": 36}
    assert found["notes"][0] == "selected on test"
    assert note(found, "20 cases without a label") and note(found, "abstained from 7 of 220")
    assert note(found, "Only 36 groups: below 100")
    many = judge.evaluate(run(120, 2), **FAST)
    assert not note(many, "Only") and many["interval"]["few_groups"] is False


def test_without_groups_wilson_and_no_patients():
    found = judge.evaluate(run(patient_id="", fold=0), **FAST)
    assert found["by_patient"] is None and found["cases"]["groups"] is None
    assert found["by_case"]["overall"]["accuracy"]["method"] == intervals.WILSON
    assert note(found, "cases are taken as independent")


def test_repeats_of_a_case_are_one_group_where_no_patient_is_told():
    one = run(patient_id="", fold=0, repeat=0)
    found = judge.evaluate(put_together([one, one.replaced(repeat=1)]), **FAST)
    assert found["cases"]["groups"] == 240 and found["by_case"]["cases"] == 480
    assert found["by_patient"] is None
    assert note(found, "repeats of one case are drawn together")
    assert found["leakage"] is None


def test_a_class_without_a_case_is_named():
    given = run(fold=0)
    found = judge.evaluate(given.subset(given.label != 2), **FAST)
    assert note(found, "No case is pituitary")
    assert found["by_case"]["overall"]["macro_auroc"]["value"] is None
    assert found["by_case"]["per_class"]["pituitary"]["auroc"]["value"] is None
    json.dumps(found, allow_nan=False)


def test_one_case_and_all_right_are_still_json():
    one = run(1, 1, seed=3)
    one = one.replaced(label=one.predicted)
    found = judge.evaluate(one, **FAST)
    json.dumps(found, allow_nan=False)
    accuracy = found["by_case"]["overall"]["accuracy"]
    assert accuracy["value"] == 1 and accuracy["low"] == pytest.approx(0.2065, abs=1e-3)
    assert note(found, "without an interval")
    assert "1.000 (0.207-1.000)" in judge.summary(found)


def test_nothing_to_measure_is_one_line():
    for given in (run(2).replaced(label=None), run(2).replaced(abstain=True), run(2).subset([])):
        with pytest.raises(DataError, match="no labelled and answered case"):
            judge.evaluate(given, **FAST)


def test_the_summary_is_short_and_says_the_figures():
    found = judge.evaluate(run(), **FAST)
    text = judge.summary(found)
    lines = text.splitlines()
    assert len(lines) < 30 and max(map(len, lines)) <= 100
    assert lines[0] == "m · test · 240 cases · 40 groups"
    accuracy = found["by_case"]["overall"]["accuracy"]
    assert f"{accuracy['value']:.3f} ({accuracy['low']:.3f}-{accuracy['high']:.3f})" in text
    assert "by patient (mean)" in text and "mean of 4 folds (sd)" in text
    assert all(name in text for name in CLASSES)
    assert "! Only 40 groups" in text
    plain = judge.summary(judge.evaluate(run(patient_id="", fold=0), **FAST))
    assert "by patient (" not in plain and "folds" not in plain

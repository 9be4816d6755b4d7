"""Temperature and threshold: chosen on validation, kept with a run, followed by predict."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from monai_brain.bundles import Bundle
from monai_brain.cli import main
from monai_brain.data import datalist, phantoms, splits
from monai_brain.errors import ConfigurationError
from monai_brain.evaluation import calibration, predictions
from monai_brain.files import read_json, write_json
from monai_brain.inference import decision
from monai_brain.inference.predict import predict
from monai_brain.testing.tiny import tiny_bundle
from monai_brain.training.workflow import train


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decision")
    phantoms.write("brain", folder, 60, seed=2, size=32)
    content = splits.split(folder / "datalist.json", "patient", folds=3)
    tiny_bundle(folder / "tiny")
    path = datalist.write(content, folder / "folds.json")
    return train(folder / "tiny", path, 0, run_dir=folder / "run", max_epochs=4, batch_size=8)


def test_a_run_keeps_the_temperature_of_its_validation_cases(tiny_run):
    kept = Bundle.at(tiny_run).facts["decision"]["temperature"]
    rows = predictions.read(tiny_run / "predictions.csv").where(split="validation")
    assert kept["cases"] == len(rows)
    assert kept["value"] == calibration.fit_temperature(rows).value
    near = [
        calibration.negative_log_likelihood(rows.label, rows.logits, kept["value"] * f) for f in (0.9, 1, 1.1)
    ]
    assert kept["at_bound"] or near[1] == min(near)


def test_predict_divides_by_the_temperature_and_keeps_the_logits(tiny_run):
    bundle = Bundle.at(tiny_run)
    write_json(
        tiny_run / "configs" / "metadata.json",
        {**bundle.metadata, "monai_brain": {**bundle.facts, "decision": {"temperature": {"value": 2.5}}}},
    )
    found = predict(tiny_run, tiny_run.parent / "images").predictions
    np.testing.assert_allclose(found.probs, softmax(found.logits / 2.5, axis=1), atol=1e-12)
    assert set(found.rule) == {"argmax"}


def test_an_aim_is_chosen_on_validation_kept_and_followed(tiny_run, capsys):
    words = ["evaluate", str(tiny_run), "--draws", "20", "--aim", "glioma:sensitivity=0.8", "--by", "source"]
    assert main([*words, "--patient-rule", "majority"]) == 0
    said = capsys.readouterr().out
    assert "false alarms" in said
    assert "source phantom" in said
    assert "by patient (majority)" in said
    bundle = Bundle.at(tiny_run)
    kept = bundle.facts["decision"]["threshold"]
    temperature = bundle.facts["decision"]["temperature"]["value"]
    rows = predictions.read(tiny_run / "predictions.csv").where(split="validation")
    score = softmax(rows.logits / temperature, axis=1)[:, rows.classes.index("glioma")]
    positive = rows.column("label") == "glioma"
    assert kept["sensitivity"] == pytest.approx(np.mean(score[positive] >= kept["value"]))
    assert kept["sensitivity"] >= 0.8
    assert kept["false_alarm_rate"] == pytest.approx(np.mean(score[~positive] >= kept["value"]))
    found = predict(tiny_run, tiny_run.parent / "images").predictions
    called = found.column("predicted") == "glioma"
    np.testing.assert_array_equal(called, found.probs[:, found.classes.index("glioma")] >= kept["value"])
    assert set(found.rule) == {"threshold"}
    # with the weights of a bare file nothing is kept
    bare = predict(tiny_run, tiny_run.parent / "images", weights=tiny_run / "models" / "model.pt").predictions
    assert set(bare.rule) == {"argmax"}


def test_an_aim_for_a_file_is_applied_and_kept_nowhere(tiny_run, tmp_path, capsys):
    path = tmp_path / "predictions.csv"
    path.write_bytes((tiny_run / "predictions.csv").read_bytes())
    assert main(["evaluate", str(path), "--draws", "20", "--aim", "glioma:specificity=0.9", "--json"]) == 0
    assert '"aim": "glioma:specificity=0.9"' in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [path]


def test_a_decision_that_does_not_fit_is_refused(tiny_run, tmp_path):
    copy = Bundle.at(tiny_run).copy(tmp_path / "copy").root
    metadata = read_json(copy / "configs" / "metadata.json")
    for kept in (
        {"temperature": {"value": 0}},
        {"threshold": {"class_name": "cyst", "value": 0.5}},
        {"temperature": 3},
    ):
        metadata["monai_brain"]["decision"] = kept
        write_json(copy / "configs" / "metadata.json", metadata)
        with pytest.raises(ConfigurationError, match=r"decision in metadata\.json"):
            decision.of(Bundle.at(copy))


def test_a_fit_at_its_bound_changes_nothing(tiny_run, tmp_path):
    copy = Bundle.at(tiny_run).copy(tmp_path / "copy").root
    metadata = read_json(copy / "configs" / "metadata.json")
    metadata["monai_brain"]["decision"] = {"temperature": {"value": 0.05, "at_bound": True}}
    write_json(copy / "configs" / "metadata.json", metadata)
    assert decision.of(Bundle.at(copy)) == decision.Decision()


def test_monais_own_command_decides_as_predict_does(tiny_run, tmp_path):
    from monai_brain import recipe

    bundle = Bundle.at(tiny_run)
    facts = {"temperature": {"value": 3.0}, "threshold": {"class_name": "glioma", "value": 0.25}}
    write_json(
        tiny_run / "configs" / "metadata.json",
        {**bundle.metadata, "monai_brain": {**bundle.facts, "decision": facts}},
    )
    places = {"dataset_dir": str(tiny_run.parent / "images"), "output_dir": str(tmp_path)}
    workflow = recipe.workflow(Bundle.at(tiny_run), ["inference"], places, kind="infer")
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    theirs = predictions.read(tmp_path / "predictions.csv")
    ours = predict(tiny_run, tiny_run.parent / "images").predictions
    order = np.argsort(theirs.case), np.argsort(ours.case)
    np.testing.assert_allclose(theirs.probs[order[0]], ours.probs[order[1]], atol=1e-5)
    assert set(theirs.rule) == {"threshold"}
    assert (theirs.column("predicted")[order[0]] == ours.column("predicted")[order[1]]).all()

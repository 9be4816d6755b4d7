"""Cross-validation: every image once by a model that never saw it, and one folder that is a model."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn import metrics as oracle

from monai_brain import registry
from monai_brain.cli import main
from monai_brain.data import datalist
from monai_brain.errors import ConfigurationError, OutputError
from monai_brain.evaluation import predictions
from monai_brain.files import read_json, sha256
from monai_brain.inference.predict import predict
from monai_brain.training.experiments import folder, jobs
from monai_brain.training.experiments.cross_validation import cross_validate
from tests.training.experiments.conftest import SETTINGS, command


def test_every_image_is_predicted_once_by_a_model_that_never_saw_it(crossed, workplace):
    rows = predictions.read(crossed / "predictions.csv")
    tested = rows.where(split="test")
    content = datalist.read(workplace / "datalist.json")
    assert sorted(tested.image) == sorted(item["image"] for item in content["training"])
    for fold in range(3):
        mine = datalist.part(crossed / "datalists" / "repeat_0.json", fold, "train")
        patients = {item["patient_id"] for item in mine}
        assert not patients & set(tested.where(fold=fold).patient_id)
        run = predictions.read(crossed / "runs" / f"fold_{fold}" / "predictions.csv").where(split="test")
        np.testing.assert_array_equal(run.probs, tested.where(fold=fold).probs)


def test_cases_are_called_as_the_users_datalist_calls_them(crossed):
    rows = predictions.read(crossed / "predictions.csv")
    assert all(case.startswith("images/") for case in rows.case)


def test_the_table_of_folds_is_scikit_learns(crossed):
    table = read_json(crossed / "tables.json")["tables"][0]
    rows = predictions.read(crossed / "predictions.csv").where(split="test")
    found = []
    for fold in range(3):
        mine = rows.where(fold=fold)
        ours = table["rows"][fold]["ours"]
        options = {"average": "macro", "zero_division": 0}
        expected = {
            "accuracy": oracle.accuracy_score(mine.label, mine.predicted),
            "precision": oracle.precision_score(mine.label, mine.predicted, **options),
            "recall": oracle.recall_score(mine.label, mine.predicted, **options),
            "f1": oracle.f1_score(mine.label, mine.predicted, **options),
        }
        for name, value in expected.items():
            assert ours[name] == pytest.approx(value, abs=1e-9), (fold, name)
        found.append(expected["accuracy"])
    assert [row["name"] for row in table["rows"][:4]] == ["fold 1", "fold 2", "fold 3", "mean"]
    assert table["rows"][3]["ours"]["accuracy"] == pytest.approx(np.mean(found))


def test_splits_by_image_stand_within_and_are_compared_and_marked(crossed):
    inner = folder.load(crossed / "kfold")
    assert inner.facts["leakage"] == "record-wise"
    assert not inner.unfinished
    assert read_json(crossed / "kfold" / "metrics.json")["leakage"] == "record-wise"
    assert read_json(crossed / "metrics.json")["leakage"] is None
    pair = read_json(crossed / "metrics.json")["beside"]["kfold"]["pairs"][0]
    sides = [
        predictions.read(place / "predictions.csv").where(split="test")
        for place in (crossed / "kfold", crossed)
    ]
    one, other = (float(np.mean(rows.label == rows.predicted)) for rows in sides)
    assert pair["difference"]["accuracy"]["difference"] == pytest.approx(one - other)
    assert pair["cases"] == 48


def test_the_folder_is_a_model_that_averages_its_folds(crossed, workplace):
    bundle = registry.bundle(crossed)
    assert bundle.facts["members"] == ["runs/fold_0", "runs/fold_1", "runs/fold_2"]
    assert bundle.weights_sha256 == sha256(crossed / "models" / "model.pt")
    together = predict(crossed, workplace / "images").predictions
    each = []
    for fold in range(3):
        found = predict(crossed / "runs" / f"fold_{fold}", workplace / "images").predictions
        each.append(found.probs)  # with the temperature that the fold's validation part gave it
        assert (found.case == together.case).all()
    np.testing.assert_allclose(together.probs, np.mean(each, axis=0), atol=1e-6)


def test_the_refit_was_trained_on_everything_as_long_as_the_folds_needed(crossed):
    best = [
        read_json(crossed / "runs" / f"fold_{fold}" / "manifest.json")["outcome"]["best_epoch"]
        for fold in range(3)
    ]
    outcome = read_json(crossed / "runs" / "refit" / "manifest.json")["outcome"]
    assert outcome["epochs"] == round(float(np.median(best)))
    assert outcome["selected_on"] == "last epoch"
    assert registry.bundle(crossed / "runs" / "refit").weights is not None
    assert not (crossed / "runs" / "refit" / "predictions.csv").exists()


def test_a_refit_sees_every_image(workplace):
    from monai_brain.training.workflow import items

    labels = registry.bundle(workplace / "tiny").labels
    assert len(items(str(workplace / "datalist.json"), None, "train", labels)) == 48


def test_a_finished_experiment_trains_nothing_again(crossed, workplace, capsys):
    before = {path: path.stat().st_mtime_ns for path in crossed.rglob("model.pt") if "runs" in path.parts}
    assert main([*command(workplace, crossed), "--json"]) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    said = json.loads(capsys.readouterr().out)
    assert said["kind"] == "cross-validation"


def test_another_experiment_is_not_trained_over_it(crossed, workplace):
    with pytest.raises(OutputError, match="holds another experiment"):
        cross_validate(workplace / "tiny", workplace / "datalist.json", crossed, folds=4, scheme="patient")
    (workplace / "occupied").mkdir(exist_ok=True)
    (workplace / "occupied" / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="not empty"):
        cross_validate(workplace / "tiny", workplace / "datalist.json", workplace / "occupied", folds=3)


def test_a_wrong_key_stops_before_any_job_begins(workplace, tmp_path):
    with pytest.raises(ConfigurationError, match="Did you mean 'max_epochs'"):
        cross_validate(workplace / "tiny", workplace / "datalist.json", tmp_path / "cv", folds=3, max_epoch=2)
    assert not (tmp_path / "cv" / "runs").exists()


def test_by_image_needs_to_be_accepted(workplace, tmp_path):
    with pytest.raises(ConfigurationError, match="allow-leakage"):
        cross_validate(workplace / "tiny", workplace / "datalist.json", tmp_path / "cv", scheme="kfold")


def test_the_datalists_own_folds_are_used_and_repeats_draw_others(folds, workplace, tmp_path):
    root = cross_validate(
        workplace / "tiny", folds, tmp_path / "cv", repeats=2, stage=0, **{**SETTINGS, "max_epochs": 1}
    )
    experiment = folder.load(root)
    assert [job.name for job in experiment.jobs] == [f"repeat_{r}_fold_{f}" for r in (0, 1) for f in range(3)]
    assert jobs.state(experiment.jobs[0], root) == jobs.FINISHED
    assert len(experiment.unfinished) == 5
    first, second = (datalist.read(root / "datalists" / f"repeat_{repeat}.json") for repeat in (0, 1))
    given = datalist.read(folds)
    assert [item["fold"] for item in first["training"]] == [item["fold"] for item in given["training"]]
    assert [item["fold"] for item in second["training"]] != [item["fold"] for item in given["training"]]
    assert experiment.jobs[3].overrides["seed"] == experiment.jobs[0].overrides["seed"] + 1
    with pytest.raises(ConfigurationError, match="5 of 6 jobs are not finished"):
        cross_validate(
            workplace / "tiny", folds, root, repeats=2, stage="collect", **{**SETTINGS, "max_epochs": 1}
        )


def test_a_plan_starts_nothing_and_lists_every_job(workplace, tmp_path, capsys):
    assert main([*command(workplace, tmp_path / "cv"), "--plan", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [line["job"] for line in planned["jobs"]] == list(range(7))
    assert {line["state"] for line in planned["jobs"]} == {"waiting"}
    assert all(line["hours"] > 0 and line["disk_mib"] > 0 for line in planned["jobs"])
    weights = sum(value.numel() for value in torch.nn.Module.state_dict(_tiny(workplace)).values())
    assert planned["jobs"][0]["disk_mib"] == pytest.approx(weights * 4 / 2**20, rel=0.05)
    assert not list(tmp_path.rglob("*.pt"))
    assert not (tmp_path / "cv" / "runs").exists()


def _tiny(workplace):
    from monai_brain.inference import weights

    return weights.network(workplace / "tiny")

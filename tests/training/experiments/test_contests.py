"""Ablation and comparison: the same folds for all, the paper's figures beside ours, tests between them."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from scipy import stats

from monai_brain import registry
from monai_brain.cli import main
from monai_brain.data import datalist
from monai_brain.errors import ConfigurationError, DataError, UnknownNameError
from monai_brain.evaluation import predictions
from monai_brain.files import read_json
from monai_brain.inference import weights
from monai_brain.training.experiments import contest, tables
from monai_brain.training.experiments.ablation import ablate
from monai_brain.training.experiments.comparing import compare
from monai_brain.training.experiments.contest import Contestant
from monai_brain.training.experiments.folder import load
from tests.training.experiments.conftest import SETTINGS


@pytest.fixture(scope="module")
def ablation(workplace, folds, tmp_path_factory):
    return ablate(
        workplace / "tiny", folds, tmp_path_factory.mktemp("ablation") / "out", folds=[0, 2], **SETTINGS
    )


def test_an_ablation_has_a_run_for_each_variant_and_fold_and_the_model_itself(ablation, folds):
    listed = read_json(ablation / "experiment.json")["jobs"]
    assert [(job["contestant"], job["fold"]) for job in listed] == [
        (name, fold) for name in ("tiny_wide", "tiny") for fold in (0, 2)
    ]
    assert {job["state"] for job in listed} == {"finished"}
    rows = predictions.read(ablation / "predictions.csv")
    assert set(rows.variant) == {"", "tiny_wide"}
    for variant in ("", "tiny_wide"):
        tested = rows.where(variant=variant, split="test")
        expected = [item["image"] for fold in (0, 2) for item in datalist.part(folds, fold, "test")]
        assert sorted(tested.image) == sorted(expected)


def test_the_table_states_the_size_of_each_variants_network(ablation, workplace):
    found = {row["name"]: row["ours"] for row in read_json(ablation / "tables.json")["tables"][0]["rows"]}
    for name, variant in (("tiny", None), ("tiny_wide", "tiny_wide")):
        network = weights.network(workplace / "tiny", variant=variant)
        expected = sum(part.numel() for part in network.parameters()) / 1e6
        assert found[name]["parameters_millions"] == expected
        assert found[name]["latency_ms"] > 0
    assert found["tiny_wide"]["gflops"] > found["tiny"]["gflops"]


def test_variants_are_tested_against_the_whole_model_as_scipy_tests_them(ablation):
    rows = predictions.read(ablation / "predictions.csv").where(split="test")
    wide, base = (rows.where(variant=variant) for variant in ("tiny_wide", ""))
    assert (wide.case == base.case).all()
    right = [side.label == side.predicted for side in (wide, base)]
    only = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    (pair,) = read_json(ablation / "metrics.json")["comparison"]["pairs"]
    assert (pair["first"], pair["second"]) == ("tiny_wide", "tiny")
    assert (pair["mcnemar"]["only_first"], pair["mcnemar"]["only_second"]) == only
    expected = stats.binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0
    assert pair["mcnemar"]["p"] == pytest.approx(expected, abs=1e-9)
    difference = pair["difference"]["accuracy"]["difference"]
    assert difference == pytest.approx(float(np.mean(right[0])) - float(np.mean(right[1])))


def test_curves_are_named_and_there(ablation):
    for curve in read_json(ablation / "tables.json")["curves"]:
        with (ablation / curve["file"]).open(encoding="utf-8", newline="") as stream:
            assert {"loss", "validation_accuracy"} <= set(next(csv.reader(stream)))


@pytest.mark.parametrize(
    ("model", "variant", "named", "beside"),
    [
        ("brain_tumor_resnet34", None, "resnet34_abc", {"table": "Table 2", "accuracy": 0.9882}),
        ("brain_tumor_resnet34", "resnet34_a", "resnet34_a", {"table": "Table 2", "accuracy": 0.9833}),
        ("brain_tumor_efficientnet_b2", None, "efficientnet_b2", {"accuracy_other_data": 0.9251}),
        ("mammography_quality_parb_kan", None, "resnet34_parb_kan", {"f1": 0.913, "recall": 0.89}),
    ],
)
def test_the_papers_figures_are_found_for_the_model_as_it_is(model, variant, named, beside):
    bundle = registry.bundle(model)
    assert tables.as_variant(bundle, variant) == named
    row = tables.paper_row(tables.paper_rows(bundle), model, named)
    assert {key: row[key] for key in beside} == beside


def test_a_baselines_row_stands_in_the_paper_that_compares_with_it():
    rows = tables.paper_rows(registry.bundle("brain_tumor_resnet34"))
    assert tables.paper_row(rows, "baseline", "vgg16")["accuracy"] == 0.9577


def test_an_ablation_needs_folds_and_variants_that_are_there(workplace, folds, tmp_path):
    with pytest.raises(ConfigurationError, match="no folds"):
        ablate(workplace / "tiny", workplace / "datalist.json", tmp_path / "a", **SETTINGS)
    with pytest.raises(UnknownNameError, match="tiny_wide"):
        ablate(workplace / "tiny", folds, tmp_path / "a", variants=["tiny_wild"], **SETTINGS)
    with pytest.raises(ConfigurationError, match="no fold 7"):
        ablate(workplace / "tiny", folds, tmp_path / "a", folds=[7], **SETTINGS)
    with pytest.raises(ConfigurationError, match="has no variants to compare"):
        ablate(workplace / "tiny", folds, tmp_path / "a", variants=[], **SETTINGS)


def test_models_of_other_classes_are_trained_on_the_firsts():
    found = contest.jobs(
        [
            Contestant("b2", "brain_tumor_efficientnet_b2", None),
            Contestant("resnet34", "baseline", "resnet34"),
        ],
        {},
        [0],
        "scratch",
        (),
        0,
        {},
    )
    labels = list(registry.bundle("brain_tumor_efficientnet_b2").labels)
    assert [job.overrides.get("labels") for job in found] == [None, labels]


def test_the_stronger_recipe_makes_rows_of_its_own(workplace, folds, tmp_path, capsys):
    """The same words as `train` takes; a run of it holds the optimizer of that recipe."""
    words = ["compare", str(workplace / "tiny"), f"{workplace / 'tiny'}:tiny_wide", "--datalist", str(folds)]
    words += ["-o", str(tmp_path / "strong"), "--recipe", "strong", "--set", "max_epochs=1"]
    assert main([*words, "--set", "batch_size=8"]) == 0
    jobs = load(tmp_path / "strong").jobs
    assert [job.overlays for job in jobs] == [("recipe_strong",)] * 2
    for job in jobs:
        recipe = read_json(tmp_path / "strong" / job.run / "configs" / "train.json")
        assert recipe["optimizer"]["_target_"] == "torch.optim.AdamW"
    capsys.readouterr()
    assert main([*words, "--set", "batch_size=8"]) == 0  # the same words go on with it
    assert main([word for word in words if word not in ("--recipe", "strong")]) == 5
    assert "holds another experiment" in capsys.readouterr().err


def test_finished_runs_are_compared_without_their_models(ablation, crossed, tmp_path, capsys):
    for path in (ablation / "runs" / "tiny_fold_0", ablation / "runs" / "tiny_wide_fold_0"):
        target = tmp_path / path.name
        target.mkdir()
        for name in ("predictions.csv", "manifest.json"):
            (target / name).write_bytes((path / name).read_bytes())
    runs = [str(tmp_path / name) for name in ("tiny_fold_0", "tiny_wide_fold_0")]
    assert main(["compare", *runs, "-o", str(tmp_path / "out"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    metrics = read_json(said["metrics.json"])
    assert list(metrics["contestants"]) == ["tiny_fold_0", "tiny_wide_fold_0"]
    assert metrics["comparison"]["pairs"][0]["cases"] == len(
        predictions.read(tmp_path / "tiny_fold_0" / "predictions.csv").where(split="test")
    )


def test_a_foreign_file_is_compared_with_a_cross_validation(crossed, tmp_path):
    """The same answers by another program: no difference at all."""
    rows = predictions.read(crossed / "predictions.csv").where(split="test")
    with (tmp_path / "theirs.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["case", "label", *(f"prob_{name}" for name in rows.classes)])
        for row in rows:
            writer.writerow([row.case, row.label, *(row.probs[name] for name in rows.classes)])
    root = compare([tmp_path / "theirs.csv", crossed], output=tmp_path / "out")
    (pair,) = read_json(root / "metrics.json")["comparison"]["pairs"]
    assert pair["cases"] == 48
    assert pair["difference"]["accuracy"]["difference"] == 0
    assert pair["mcnemar"]["p"] == 1


def test_what_cannot_be_compared_is_refused(crossed, ablation, tmp_path):
    with pytest.raises(ConfigurationError, match="at least two"):
        compare([crossed], output=tmp_path / "out")
    with pytest.raises(ConfigurationError, match="name a datalist"):
        compare([crossed, "baseline:vgg16"], output=tmp_path / "out")
    with pytest.raises(DataError, match="several values of variant"):
        compare([crossed, ablation], output=tmp_path / "several")
    with pytest.raises(ConfigurationError, match="--against nobody"):
        compare([crossed, crossed / "kfold"], output=tmp_path / "out", against="nobody")

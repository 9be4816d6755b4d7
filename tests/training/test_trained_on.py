"""A run knows the views and techniques that it was trained on, and abstains from others."""

from __future__ import annotations

import json

import pytest

import monai_brain as mb
from monai_brain.bundles import Bundle
from monai_brain.data import datalist, phantoms, splits
from monai_brain.errors import ConfigurationError
from monai_brain.inference.gates import ABSTAINED, first_refusal, gates
from monai_brain.testing.tiny import tiny_bundle
from monai_brain.training import trained_on


def items(*views, **more):
    return {
        "schema_version": 1,
        "labels": ["a"],
        "training": [
            {"image": f"{number}.png", "class_name": "a", "fold": number % 2, "view_position": view, **more}
            for number, view in enumerate(views)
        ],
    }


def test_the_training_part_counts_and_one_that_does_not_say_leaves_all_open():
    facts = {"trained_on": {"view_position": ["old"]}}
    trained_on.keep(facts, items("CC", "MLO", "CC", "XCCL", technique="film"), 1)
    assert facts == {"trained_on": {"view_position": ["CC"], "technique": ["film"]}}
    trained_on.keep(facts, items("CC", "MLO", "CC", "XCCL"), None)
    assert facts == {"trained_on": {"view_position": ["CC", "MLO", "XCCL"]}}
    trained_on.keep(facts, items("CC", "MLO", ""), None)
    assert facts == {}


def test_a_training_records_its_views_and_prediction_abstains_from_others(tmp_path):
    path = phantoms.write("brain", tmp_path / "p", 24, size=32)
    content = splits.split(datalist.read(path), "patient", folds=3)
    for item in content["training"]:
        item |= {"view_position": "MLO", "technique": "film"}
    folds = datalist.write(content, tmp_path / "p" / "folds.json")
    run = mb.train(tiny_bundle(tmp_path / "tiny"), folds, 0, run_dir=tmp_path / "run", max_epochs=1)
    rules = gates(Bundle.at(run))
    assert first_refusal(rules, {"view_position": "MLO", "technique": "film"}) is None
    assert first_refusal(rules, {}) is None
    for facts, why in (
        ({"view_position": "CC"}, "a view absent from the training data (CC)"),
        ({"technique": "digital"}, "a technique absent from the training data (digital)"),
    ):
        refusal = first_refusal(rules, facts)
        assert (refusal.status, refusal.reason) == (ABSTAINED, why)


def test_a_record_that_is_none_is_refused(tmp_path):
    bundle = tiny_bundle(tmp_path / "tiny")
    path = bundle.root / "configs" / "metadata.json"
    metadata = json.loads(path.read_text("utf-8"))
    metadata["monai_brain"]["trained_on"] = {"view_position": "MLO"}
    path.write_text(json.dumps(metadata), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="must hold a list for each fact"):
        gates(Bundle.at(bundle.root))

"""The promise of docs/stability.md: the shipped schemas are true, and files of older versions are read."""

from __future__ import annotations

import csv
import json
from importlib import resources
from pathlib import Path

import pytest

import monai_brain
from monai_brain import hookspecs
from monai_brain.bundles import Bundle
from monai_brain.data import datalist
from monai_brain.errors import DataError
from monai_brain.evaluation import predictions
from monai_brain.evaluation.judge import evaluate
from monai_brain.files import read_json

jsonschema = pytest.importorskip("jsonschema")
ROOT = Path(__file__).parents[1]
OLD = ROOT / "tests" / "_data" / "files_of_0_1"
SCHEMAS = resources.files("monai_brain") / "schemas"
# The names and hooks of 0.1, which stay until the version after next has warned of their end.
NAMES = {
    *("Bundle", "MonaiBrainError", "ablate", "bundle", "check", "compare", "cross_validate", "evaluate"),
    *("explain", "export", "hookimpl", "models", "network", "predict", "read_dataset", "report"),
    *("robustness", "split", "train", "transfer"),
}
HOOKS = {
    *("register_bundles", "register_datasets", "register_writers", "register_exporters"),
    "register_commands",
}


def schema(name: str) -> jsonschema.Draft202012Validator:
    content = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(content)
    return jsonschema.Draft202012Validator(content)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def files(folder: Path) -> dict[str, list]:
    """What a folder holds of each kind of file, by the name of its schema."""
    facts = folder / "metadata.json"
    return {
        "datalist": [read_json(folder / "datalist.json")],
        "prediction": rows(folder / "predictions.csv"),
        "metrics": [read_json(folder / "metrics.json")],
        "manifest": [read_json(folder / "manifest.json")],
        "result": lines(folder / "results.jsonl"),
        "explanation": lines(folder / "explanations.jsonl"),
        "facts": [read_json(facts)["monai_brain"]],
    }


KINDS = sorted(files(OLD))


def test_every_schema_is_shipped_named_and_tested():
    shipped = {path.name.removesuffix(".json") for path in SCHEMAS.iterdir()}
    assert shipped == set(KINDS)
    text = (ROOT / "docs" / "stability.md").read_text(encoding="utf-8")
    assert not [name for name in shipped if f"`{name}.json`" not in text]


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_0_1_keep_to_the_schema(kind):
    found = files(OLD)[kind]
    assert found
    for one in found:
        schema(kind).validate(one)


# kind -> a change that the schema must refuse
WRONG = {
    "datalist": {"schema_version": 2},
    "prediction": {"prob_glioma": "high"},
    "metrics": {"by_case": {"overall": {}}},
    "manifest": {"command": "monai-brain train"},
    "result": {"status": "fine"},
    "explanation": {"peak": {"row": "top"}},
    "facts": {"paper": {"title": "no year"}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_refuses_what_is_wrong(kind):
    with pytest.raises(jsonschema.ValidationError):
        schema(kind).validate(files(OLD)[kind][0] | WRONG[kind])


def test_what_a_run_writes_today_keeps_to_the_schemas(run, brain_phantoms):
    today = {
        "datalist": [read_json(brain_phantoms)],
        "prediction": rows(run / "predictions.csv"),
        "metrics": [read_json(run / "metrics.json")],
        "manifest": [read_json(run / "manifest.json")],
        "facts": [Bundle.at(run).facts],
    }
    for kind, found in today.items():
        for one in found:
            schema(kind).validate(one)


@pytest.mark.parametrize(
    "folder", sorted((ROOT / "bundles").glob("*_classification")), ids=lambda path: path.name
)
def test_the_facts_of_every_bundle_keep_to_the_schema(folder):
    schema("facts").validate(Bundle.at(folder).facts)


def test_files_of_0_1_are_read():
    content = datalist.read(OLD / "datalist.json")
    assert (len(content["training"]), content["folds"], content["labels"][0]) == (24, 3, "glioma")
    held = {item["image"].rpartition("/")[2] for item in content["training"] if item["fold"] == 0}
    kept = predictions.read(OLD / "predictions.csv")
    assert kept.classes == ("glioma", "meningioma", "pituitary", "no_tumor")
    assert held == {Path(case).name for case in kept.where(split="test").case}


def test_predictions_of_0_1_are_judged_as_they_were():
    old, new = read_json(OLD / "metrics.json"), evaluate(OLD / "predictions.csv", draws=20)
    for by in ("by_case", "by_patient"):
        assert new[by]["confusion_matrix"] == old[by]["confusion_matrix"]
        for name, figure in old[by]["overall"].items():
            assert new[by]["overall"][name]["value"] == pytest.approx(figure["value"], abs=1e-12)


def test_files_of_a_later_version_are_refused_by_name(tmp_path):
    content = read_json(OLD / "datalist.json") | {"schema_version": 2}
    with pytest.raises(DataError, match=r"schema_version is 2, expected 1"):
        datalist.read(content)
    text = (OLD / "predictions.csv").read_text(encoding="utf-8").replace("\n1,", "\n2,")
    (tmp_path / "predictions.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"schema_version.*is 2; this version of monai_brain reads 1"):
        predictions.read(tmp_path / "predictions.csv")


def test_public_names_and_hooks_of_0_1_are_there():
    assert set(monai_brain.__all__) >= NAMES
    assert {name for name in vars(hookspecs) if name.startswith("register_")} >= HOOKS

"""MONAI's own commands on every bundle, from another folder, by absolute paths, and on a copy of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import monai_brain as mb
from monai_brain.bundles import Bundle
from monai_brain.data import datalist, phantoms, splits
from monai_brain.evaluation import predictions
from monai_brain.files import read_json

FIRST = "brain_tumor_resnet34"
MODELS = [name if name == FIRST else pytest.param(name, marks=pytest.mark.slow) for name in mb.models()]
SETTINGS = ["--image_size", "32", "--max_epochs", "1", "--batch_size", "16"]


@pytest.fixture(scope="module", params=MODELS)
def copied(request, tmp_path_factory) -> Bundle:
    """A copy of the bundle whose original cannot be read by mistake: no path leads from it there."""
    bundle = mb.bundle(request.param).copy(tmp_path_factory.mktemp("elsewhere") / "bundle")
    original = str(mb.bundle(request.param).root)
    for path in bundle.root.rglob("*.json"):
        assert original not in path.read_text(encoding="utf-8")
    return bundle


@pytest.fixture(scope="module")
def folds(copied, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    kind = copied.facts["phantom"]
    written = phantoms.write(kind, folder, 64, seed=2, size=40, classes=copied.labels)
    return datalist.write(splits.split(datalist.read(written), "patient", folds=3), folder / "folds.json")


def monai(command: str, bundle: Bundle, recipes: list[str], *words: str) -> subprocess.CompletedProcess[str]:
    """`python -m monai.bundle` from the root folder, every path absolute."""
    files = [str(bundle.config(name)) for name in recipes]
    line = [
        *(sys.executable, "-m", "monai.bundle", command),
        *("--config_file", files[0] if len(files) == 1 else str(files)),
        *("--meta_file", str(bundle.root / "configs" / "metadata.json")),
        *("--bundle_root", str(bundle.root)),
        *words,
    ]
    done = subprocess.run(
        line,
        cwd=Path(Path.cwd().anchor),
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def trained(copied, folds, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("run") / "run"
    monai("run", copied, ["train"], "--datalist", str(folds), "--run_dir", str(run), *SETTINGS)
    return run


def test_train_leaves_a_judged_run(trained):
    assert (trained / "models" / "model.pt").is_file()
    assert read_json(trained / "metrics.json")["cases"]["measured"] > 0
    assert read_json(trained / "configs" / "train.json")["image_size"] == 32


@pytest.mark.slow
def test_the_stronger_recipe_is_an_overlay_for_monai_too(copied, folds, tmp_path):
    words = ("--datalist", str(folds), "--run_dir", str(tmp_path / "run"), *SETTINGS)
    monai("run", copied, ["train", "recipe_strong"], *words)
    config = read_json(tmp_path / "run" / "configs" / "train.json")
    assert config["optimizer"]["_target_"] == "torch.optim.AdamW"
    assert read_json(tmp_path / "run" / "metrics.json")["cases"]["measured"] > 0


def test_train_and_evaluate_judges_the_kept_weights_again(copied, folds, trained):
    before = (trained / "predictions.csv").read_bytes()
    (trained / "predictions.csv").unlink()
    words = ("--datalist", str(folds), "--run_dir", str(trained), *SETTINGS)
    monai("run", copied, ["train", "evaluate"], *words)
    assert (trained / "predictions.csv").read_bytes() == before


def test_inference_writes_predictions_for_a_folder(copied, trained, folds, tmp_path):
    run = Bundle.at(trained)
    images = folds.parent / "images"
    monai("run", run, ["inference"], "--dataset_dir", str(images), "--output_dir", str(tmp_path))
    found = predictions.read(tmp_path / "predictions.csv")
    assert len(found) == len(list(images.glob("*.png")))
    assert found.classes == copied.labels


def test_network_fits_the_metadata(copied):
    monai("verify_net_in_out", copied, ["inference"], "--net_id", "network_def", "--device", "cpu")


def test_checkpoint_exports_to_torchscript_and_onnx(trained, tmp_path):
    run = Bundle.at(trained)
    weights = ("--net_id", "network_def", "--ckpt_file", str(run.weights))
    monai("ckpt_export", run, ["inference"], *weights, "--filepath", str(tmp_path / "model.ts"))
    shape = str([2, *run.input_shape])
    words = (*weights, "--filepath", str(tmp_path / "model.onnx"), "--input_shape", shape)
    monai("onnx_export", run, ["inference"], *words)
    assert (tmp_path / "model.ts").stat().st_size > 10_000
    assert (tmp_path / "model.onnx").stat().st_size > 10_000


CHECK = """
import sys
from monai.bundle import create_workflow
root, datalist, run_dir = sys.argv[1:]
infer = create_workflow(config_file=f"{root}/configs/inference.json", workflow_type="infer", bundle_root=root)
assert infer.check_properties() == [], infer.check_properties()
places = {"bundle_root": root, "datalist": datalist, "run_dir": run_dir}
train = create_workflow(config_file=f"{root}/configs/train.json", workflow_type="train", **places)
assert train.check_properties() == [], train.check_properties()
"""


def test_every_property_that_monai_asks_for_is_there(copied, folds, tmp_path):
    line = [sys.executable, "-c", CHECK, str(copied.root), str(folds), str(tmp_path / "run")]
    done = subprocess.run(line, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]

"""Each of the papers' models learns its phantoms, and tells apart patients it never saw."""

from __future__ import annotations

import pytest

import monai_brain as mb
from monai_brain.data import datalist, phantoms, splits
from monai_brain.files import read_json
from monai_brain.training.workflow import train

CHANCE_IS_FAR = 0.9
# The paper's recipe with its sizes shrunk: fewer and smaller images, fewer epochs.
RECIPES = {
    "brain_tumor_resnet34": (400, {"max_epochs": 8, "batch_size": 32, "lr_step_epochs": 6}),
    "brain_tumor_efficientnet_b2": (
        480,
        {
            "max_epochs": 12,
            "batch_size": 16,
            "copies": {"glioma": 2, "meningioma": 2, "pituitary": 2},
            "norm_momentum": 0.1,
            "plateau_epochs": 12,
            "stop_epochs": 12,
            # From scratch it needs thousands of steps to learn them turned and flipped.
            "rotation_degrees": 0,
            "shift": 0.0,
            "flip_probability": 0.0,
        },
    ),
    "mammography_quality_parb_kan": (400, {"max_epochs": 8, "batch_size": 16}),
}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("model", RECIPES)
def test_held_out_phantoms_are_told_apart(model, tmp_path):
    count, settings = RECIPES[model]
    bundle = mb.bundle(model)
    written = phantoms.write(bundle.facts["phantom"], tmp_path, count, size=96, classes=bundle.labels)
    folds = datalist.write(splits.split(datalist.read(written), "patient"), tmp_path / "folds.json")
    run = train(model, folds, 0, run_dir=tmp_path / "run", image_size=64, **settings)
    accuracy = read_json(run / "metrics.json")["by_case"]["overall"]["accuracy"]["value"]
    assert accuracy > CHANCE_IS_FAR

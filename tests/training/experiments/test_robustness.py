"""A trained model under faults: each condition is what one would get by spoiling the images oneself."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from monai_brain.data import datalist
from monai_brain.errors import ConfigurationError, UnknownNameError
from monai_brain.evaluation import predictions
from monai_brain.files import read_json
from monai_brain.inference import weights
from monai_brain.training.experiments.robustness import robustness
from monai_brain.transforms import faults

KINDS = ("blur", "rician_noise")


@pytest.fixture(scope="module")
def made(crossed, tmp_path_factory):
    run, lists = crossed / "runs" / "fold_1", crossed / "datalists" / "repeat_0.json"
    out = tmp_path_factory.mktemp("robustness") / "out"
    return robustness(run, lists, out, fold=1, kinds=KINDS, severities=(1, 5), seed=4)


def test_each_condition_is_the_network_on_images_spoiled_by_hand(made, crossed):
    rows = predictions.read(made / "predictions.csv")
    assert set(rows.variant) == {"", "blur:1", "blur:5", "rician_noise:1", "rician_noise:5"}
    network = weights.network(crossed / "runs" / "fold_1", weights="shipped")
    items = datalist.part(crossed / "datalists" / "repeat_0.json", 1, "test")[:3]
    for name, grade in (("blur", 5), ("rician_noise", 1)):
        mine = rows.where(variant=f"{name}:{grade}")
        for item in items:
            grey = cv2.imread(item["image"], cv2.IMREAD_UNCHANGED).astype(np.float32)
            pixels = grey[None]
            spoiled = faults.Fault(name, grade, 4)(pixels, item.get("sha256"))[0]
            image = torch.from_numpy((spoiled - spoiled.mean()) / spoiled.std())[None, None]
            with torch.no_grad():
                expected = network(image)[0].numpy()
            (row,) = mine.where(image=item["image"]).logits
            np.testing.assert_allclose(row, expected, atol=1e-3)


def test_without_a_fault_it_is_the_runs_own_test(made, crossed):
    clean = predictions.read(made / "predictions.csv").where(variant="")
    own = predictions.read(crossed / "runs" / "fold_1" / "predictions.csv").where(split="test")
    assert (clean.case == own.case).all()
    np.testing.assert_allclose(clean.logits, own.logits, atol=1e-5)


def test_the_mean_corruption_accuracy_is_the_mean_of_all_points(made):
    metrics = read_json(made / "metrics.json")
    points = [point for curve in metrics["curves"] for point in curve["points"] if point["severity"]]
    assert len(points) == 4
    mean = np.mean([point["accuracy"]["value"] for point in points])
    assert metrics["mean_corruption_accuracy"]["value"] == pytest.approx(mean)
    assert metrics["share_of_clean"] == pytest.approx(mean / metrics["clean"]["accuracy"]["value"])
    rows = predictions.read(made / "predictions.csv").where(variant="blur:5")
    blur = next(curve for curve in metrics["curves"] if curve["fault"] == "blur")
    assert blur["points"][-1]["accuracy"]["value"] == pytest.approx(np.mean(rows.label == rows.predicted))


def test_unknown_faults_and_grades_are_refused(crossed, tmp_path):
    run, lists = crossed / "runs" / "fold_0", crossed / "datalists" / "repeat_0.json"
    with pytest.raises(UnknownNameError, match="Did you mean 'blur'"):
        robustness(run, lists, tmp_path / "out", kinds=["blurr"])
    with pytest.raises(ConfigurationError, match="some of 1 to 5"):
        robustness(run, lists, tmp_path / "out", severities=[6])

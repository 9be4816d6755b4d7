"""What an export costs is told as it is."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import monai_brain as mb
from monai_brain.cli import main
from monai_brain.data import datalist as datalists
from monai_brain.errors import DataError
from monai_brain.evaluation import predictions
from monai_brain.inference.fidelity import fidelity, summary
from monai_brain.inference.predict import Predictor

pytest.importorskip("onnxscript")


def test_the_full_precision_file_says_what_the_network_says(run, brain_phantoms, tmp_path):
    path = mb.export(run, "onnx", tmp_path / "model.onnx")
    found = fidelity(path, Predictor(run, device="cpu"), datalist=brain_phantoms, draws=50)
    told = predictions.read(run / "predictions.csv")
    right = [row.predicted == row.label for row in told if row.split == "test"]
    assert found["cases"] == len(right)
    assert found["accuracy"]["network"] == found["accuracy"]["exported"] == pytest.approx(np.mean(right))
    assert found["same_label"] == 1
    assert found["largest_probability_difference"] < 1e-5


def test_the_loss_of_eight_bits_is_counted(run, brain_phantoms, tmp_path, capsys):
    session = pytest.importorskip("onnxruntime").InferenceSession
    path = tmp_path / "int8.onnx"
    images = str(brain_phantoms.parent / "images")
    options = ["--calibration", images, "--datalist", str(brain_phantoms), "-o", str(path), "--json"]
    assert main(["export", str(run), "--format", "int8", *options]) == 0
    found = json.loads(capsys.readouterr().out)["fidelity"]
    predictor, run_session = Predictor(run, device="cpu"), session(str(path))
    items = datalists.part(str(brain_phantoms), 0, "test", predictor.bundle.labels)
    said = []
    for item in items:
        image = np.asarray(predictor.preprocess({"image": item["image"]})["image"], np.float32)
        said.append(int(run_session.run(None, {"image": image[None]})[0].argmax()))
    right = np.mean([label == item["label"] for label, item in zip(said, items, strict=True)])
    assert found["accuracy"]["exported"] == pytest.approx(right)
    assert found["largest_probability_difference"] > 0  # else nothing was quantised
    assert found["accuracy"]["difference"] == pytest.approx(right - found["accuracy"]["network"])
    assert "difference" in summary(found)


def test_without_labels_the_agreement_is_told_and_bad_files_are_counted(run, brain_phantoms, tmp_path):
    path = mb.export(run, "onnx", tmp_path / "model.onnx")
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"")
    predictor = Predictor(run, device="cpu")
    with pytest.raises(DataError, match="None of 1 images"):
        fidelity(path, predictor, folder)
    whole = next(Path(brain_phantoms.parent / "images").glob("*.png"))
    cv2.imwrite(str(folder / "whole.png"), cv2.imread(str(whole), cv2.IMREAD_GRAYSCALE))
    found = fidelity(path, predictor, folder)
    assert (found["cases"], found["failed"]) == (1, 1)
    assert "accuracy" not in found
    assert "1 images could not be read" in summary(found)

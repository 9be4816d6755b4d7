"""Folders as trainings and experiments leave them, and a strict reader of pages."""

from __future__ import annotations

import csv
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from monai_brain.evaluation.predictions import Predictions, put_together, write

CLASSES = ("glioma", "meningioma", "pituitary", "no_tumor")
NASTY = "<script>alert('\"&')</script>"
VOID = {"meta", "img", "input"}


class Strict(HTMLParser):
    """The elements of a page: (name, attributes, text inside); each must be closed in its turn."""

    def __init__(self, source):
        super().__init__()
        self.open, self.elements = [], []
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, name, attributes):
        element = [name, dict(attributes), ""]
        self.elements.append(element)
        if name not in VOID:
            self.open.append(element)

    def handle_endtag(self, name):
        assert self.open.pop()[0] == name

    def handle_data(self, text):
        for element in self.open:
            element[2] += text

    def all(self, name, **wanted):
        return [
            (attributes, text)
            for found, attributes, text in self.elements
            if found == name and all(attributes.get(key) == value for key, value in wanted.items())
        ]

    @property
    def data(self):
        """What the page's script reads."""
        ((_, text),) = self.all("script", id="case-data")
        return json.loads(text)


def predicted(count=60, classes=CLASSES, seed=0, skill=1.5, **columns):
    """Predictions of so many cases, four of each patient; 40 of 60 are test cases."""
    generator = np.random.default_rng(seed)
    labels = np.random.default_rng(7).integers(0, len(classes), count)
    logits = generator.normal(0, 1, (count, len(classes)))
    logits[np.arange(count), labels] += skill
    given = {
        "patient_id": [f"p{index // 4}" for index in range(count)],
        "split": ["test" if index < 2 * count // 3 else "validation" for index in range(count)],
        "fold": 0,
        "model": "brain_tumor_resnet34",
        **columns,
    }
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    cases = given.pop("case", [f"images/{index:03}.png" for index in range(count)])
    return Predictions(classes, cases, probs, logits=logits, label=[classes[i] for i in labels], **given)


def recorded_epochs(folder: Path, epochs=6):
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "metrics.csv").open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["epoch", "loss", "train_accuracy", "validation_accuracy", "learning_rate"])
        for epoch in range(1, epochs + 1):
            rows.writerow([epoch, 2 / epoch, 0.5, "nan" if epoch % 2 else 0.6, 1e-3])


@pytest.fixture
def run(tmp_path):
    """A run folder as a training leaves it, but for the model and its configs."""
    folder = tmp_path / "run"
    folder.mkdir()
    write(predicted(), folder / "predictions.csv")
    recorded_epochs(folder)
    manifest = {"schema_version": 1, "seed": 7, "packages": {"torch": "2.15"}, "command": ["train", NASTY]}
    manifest["command"] += ["--datalist", str(tmp_path / "secret" / "folds.json"), f"x={tmp_path}/a.json"]
    manifest["outcome"] = {"epochs": 6, "best_epoch": 4, "selected_on": "validation accuracy"}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


VARIANTS = ("resnet34", "resnet34_a", "resnet34_abc")


@pytest.fixture
def ablation(tmp_path):
    """An ablation of three variants on the same cases."""
    folder = tmp_path / "ablation"
    jobs = []
    for name in VARIANTS:
        recorded_epochs(folder / "runs" / name)
        jobs.append(
            {"name": name, "run": f"runs/{name}", "model": "brain_tumor_resnet34", "variant": name, "fold": 0,
             "repeat": 0, "state": "finished"}
        )  # fmt: skip
    parts = [predicted(seed=i, skill=1 + i, variant=name) for i, name in enumerate(VARIANTS)]
    write(put_together(parts), folder / "predictions.csv")
    content = {"schema_version": 1, "kind": "ablation", "leakage": None, "jobs": jobs}
    (folder / "experiment.json").write_text(json.dumps(content), encoding="utf-8")
    return folder

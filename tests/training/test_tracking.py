"""MLflow by MONAI's own tracking, TensorBoard events, and what the bar shows."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import pytest

from monai_brain.bundles import Bundle
from monai_brain.testing.tiny import tiny_bundle
from monai_brain.training.workflow import train


@pytest.mark.slow
def test_monais_tracking_records_the_training(brain_phantoms, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("alembic", reason="mlflow-skinny alone keeps no database")
    place = f"sqlite:///{(tmp_path / 'mlflow.db').as_posix()}"
    monkeypatch.chdir(tmp_path)
    model = tiny_bundle(tmp_path / "tiny")
    train(model, brain_phantoms, 0, run_dir=tmp_path / "run", tracking=place)
    client = mlflow.MlflowClient(tracking_uri=place)
    experiments = [found for found in client.search_experiments() if found.name == "monai_experiment"]
    runs = client.search_runs([experiments[0].experiment_id])
    assert any("train_loss" in found.data.metrics for found in runs)
    # What was trained is a model as always.
    assert Bundle.at(tmp_path / "run").weights_sha256


def events(run: Path) -> dict[str, list[float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run / "events"))
    found.Reload()
    return {tag: [event.value for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bar_events_and_table_tell_the_same(brain_phantoms, tmp_path, monkeypatch, capsys):
    pytest.importorskip("tensorboard")
    model = tiny_bundle(tmp_path / "tiny")
    monkeypatch.setattr(sys, "stderr", Terminal())
    run = train(model, brain_phantoms, 0, run_dir=tmp_path / "run", max_epochs=1)
    train(model, brain_phantoms, 0, run_dir=run, max_epochs=2, resume=True)
    shown = sys.stderr.getvalue()
    for word in ("epoch 2/2", "loss ", "accuracy ", "lr 0.01", "img/s", " left"):
        assert word in shown, word
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["epoch"] for line in lines] == ["1", "2"]
    told = events(run)
    assert told.keys() == lines[0].keys() - {"epoch"}
    for name, values in told.items():
        assert values == pytest.approx([float(line[name]) for line in lines], rel=1e-4, nan_ok=True)


def test_a_pipe_gets_no_bar(brain_phantoms, tmp_path, capsys):
    train(tiny_bundle(tmp_path / "tiny"), brain_phantoms, 0, run_dir=tmp_path / "run", max_epochs=1)
    assert "img/s" not in capsys.readouterr().err

"""The bench of trainings: it measures what it says, on any machine, and goes on where it was."""

import json
import sys
from pathlib import Path

import pytest
import torch

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

import gpu_bench  # noqa: E402
from benchmarks import training  # noqa: E402

TINY = ["--device", "cpu", "--image-size", "32", "--batch-size", "4", "--images", "24", "--batches", "1",
        "--workers", "0", "--repeats", "1"]  # fmt: skip
ONE = [*TINY, "--only", "brain_tumor_efficientnet_b2", "--recipe", "paper"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "gpu.json"
    gpu_bench.main([*ONE, "--json", str(path)])
    return path


def test_an_entry_holds_rates_memory_and_the_least_time(results):
    written = json.loads(results.read_text(encoding="utf-8"))
    assert {"schema_version", "machine", "command", "benchmarks"} <= written.keys()
    (entry,) = written["benchmarks"]
    assert (entry["ours"], entry["beside"]) == ("device cache", "synthetic")
    assert entry["further"][0]["beside"] == "MONAI"
    rates = entry["images_per_second"]
    assert rates["device cache"] == pytest.approx(1 / entry["seconds"][0])
    assert entry["ratio"] == pytest.approx(rates["device cache"] / rates["synthetic"])
    assert entry["floor"]["images_per_second"] > rates["device cache"]
    assert entry["alone"]["device cache"] > rates["device cache"]
    assert entry["memory"] == {"device cache": None, "synthetic": None, "MONAI": None}  # of a GPU


def test_what_is_measured_already_is_not_measured_again(results, monkeypatch, capsys):
    monkeypatch.setattr(training, "measured", None)
    gpu_bench.main([*ONE, "--json", str(results)])
    assert "brain_tumor_efficientnet_b2 paper" in capsys.readouterr().out


def test_other_settings_are_not_put_into_the_same_file(results):
    with pytest.raises(SystemExit, match="other settings"):
        gpu_bench.main([*ONE, "--batch-size", "8", "--json", str(results)])


def test_batches_alone(capsys):
    gpu_bench.main([*ONE, "--no-network"])
    assert "x MONAI" in capsys.readouterr().out


def test_moved_numbers_by_hand():
    """Two layers: 3 x 8 x 8 in, 5 x 8 x 8 between, 5 x 8 x 8 out; each layer reads and writes."""
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3, padding=1), torch.nn.ReLU())
    assert training._moved(network, (3, 8, 8), torch.device("cpu")) == 3 * 64 + 5 * 64 + 5 * 64 + 5 * 64


@pytest.mark.parametrize("words", [["--repeats", "0"], ["--only", "nothing"], ["--workers", "-1"]])
def test_usage(words):
    with pytest.raises(SystemExit) as caught:
        gpu_bench.main(words)
    assert caught.value.code == 2

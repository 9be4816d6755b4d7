"""Out of GPU memory: one line with the batch that fits, exit status 2, and the checkpoint as it was."""

from __future__ import annotations

import re

import pytest
import torch

from monai_brain.cli import main
from monai_brain.data import datalist
from monai_brain.files import read_json
from monai_brain.safety import trust
from monai_brain.testing.tiny import TinyClassifier, tiny_bundle
from monai_brain.training import checkpoint_files
from monai_brain.training.memory import OutOfGpuMemoryError
from monai_brain.training.workflow import train


@pytest.fixture(autouse=True)
def trusted():
    """The recipes name a network of this file."""
    with trust.given():
        yield


class Hungry(TinyClassifier):
    """TinyClassifier on a device that has room for so many images, from its n-th training pass on."""

    def __init__(self, room: int, after: int = 0, **options) -> None:
        super().__init__(**options)
        self.room, self.after, self.passes = room, after, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.passes += self.training
        if self.training and self.passes > self.after and len(x) > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return super().forward(x)


def hungry(folder, room, after=0):
    bundle = tiny_bundle(folder)
    for name in ("train", "inference"):
        path = bundle.config(name)
        text = path.read_text("utf-8").replace(
            '"monai_brain.testing.tiny.TinyClassifier",',
            f'"tests.training.test_memory.Hungry", "room": {room}, "after": {after},',
        )
        assert "Hungry" in text
        path.write_text(text, encoding="utf-8")
    return bundle


@pytest.mark.parametrize(
    ("room", "accumulate", "sentence"),
    [
        (9, 1, "batch_size=16. A batch of 8 fits: --set batch_size=8 --set accumulate=2 trains"),
        (4, 2, "A batch of 4 fits: --set batch_size=4 --set accumulate=8 trains"),
        (1, 1, "has no room for a batch of 2 either. Lower image_size"),
    ],
)
def test_the_batch_that_fits_is_named(room, accumulate, sentence, brain_phantoms, tmp_path):
    bundle = hungry(tmp_path / "bundle", room)
    with pytest.raises(OutOfGpuMemoryError, match=re.escape(sentence)):
        train(
            bundle, brain_phantoms, 0, run_dir=tmp_path / "run",
            image_size=32, batch_size=16, accumulate=accumulate,
        )  # fmt: skip


def test_one_line_exit_status_and_a_whole_checkpoint(brain_phantoms, tmp_path, capfd):
    """It happens in the second epoch; the first one's checkpoint and weights are there and whole."""
    batches = len(datalist.part(brain_phantoms, 0, "train")) // 16
    bundle, run = hungry(tmp_path / "bundle", room=4, after=batches), tmp_path / "run"
    settings = ["--set", "batch_size=16", "--set", "max_epochs=3"]
    command = ["train", str(bundle.root), "--datalist", str(brain_phantoms), "--run-dir", str(run)]
    assert main([*command, *settings]) == 2
    line = [line for line in capfd.readouterr().err.splitlines() if line.startswith("monai-brain: ")]
    assert len(line) == 1
    assert "--set batch_size=4 --set accumulate=4" in line[0]
    state = checkpoint_files.last_whole(run)[1]
    assert state["epoch"] == 1
    assert not list(run.rglob("*.partial"))
    again = ["--set", "batch_size=4", "--set", "accumulate=4", "--set", "max_epochs=3"]
    assert main([*command, "--resume", *again]) == 0
    assert read_json(run / "manifest.json")["outcome"]["epochs"] == 3

"""A disk that is full in the middle of a training: status 5, and what stood there before is whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from monai_brain.files import sha256
from monai_brain.testing.tiny import tiny_bundle
from monai_brain.training import checkpoint_files
from monai_brain.training.workflow import train

ROOM = 40_000  # less than one checkpoint
PROGRAM = """
import shutil, sys
from pathlib import Path
from monai_brain import cli
from monai_brain.training import checkpoint_files

def main():
    model, data, disk, out, room = sys.argv[1:]
    run, filler = Path(disk) / "run", Path(disk) / "filler"

    def train(epochs, *more):
        return cli.main(["train", model, "--datalist", data, "--run-dir", str(run),
                         "--set", f"max_epochs={epochs}", *more])

    print("begun", train(1))
    with filler.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(1024))
        except OSError:
            pass
        stream.truncate(max(stream.tell() - int(room), 0))
    print("full", train(3, "--resume"))
    print("left", [(found.epoch, found.read()["epoch"]) for found in checkpoint_files.found(run)],
          len(list(run.rglob("*.partial"))))
    filler.unlink()
    print("freed", train(3, "--resume"))
    shutil.copytree(run, out)

main()
"""


@pytest.mark.slow
def test_the_old_checkpoint_stays_and_the_run_goes_on_when_there_is_room(brain_phantoms, tmp_path):
    if shutil.which("unshare") is None:
        pytest.skip("unshare, which mounts the small disk, is not installed")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=3m none {disk}"
    tried = subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no small disk can be mounted here: {tried.stderr.strip()}")
    model = tiny_bundle(tmp_path / "tiny")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh", sys.executable, "-c", PROGRAM,
         model.root, brain_phantoms, disk, tmp_path / "out", str(ROOM)],
        capture_output=True, text=True, check=False, timeout=280,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )  # fmt: skip
    said = [
        line for line in done.stdout.splitlines() if line.split(" ")[0] in ("begun", "full", "left", "freed")
    ]
    assert said == ["begun 0", "full 5", "left [(1, 1)] 0", "freed 0"], done.stderr[-3000:]
    assert "monai-brain: Cannot write" in done.stderr
    assert "No space left on device" in done.stderr
    unbroken = train(model, brain_phantoms, 0, run_dir=tmp_path / "unbroken", max_epochs=3)
    assert [found.epoch for found in checkpoint_files.found(tmp_path / "out")] == [3, 2]
    assert sha256(tmp_path / "out" / "models" / "model.pt") == sha256(unbroken / "models" / "model.pt")

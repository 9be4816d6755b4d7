"""The demonstration, as a user runs it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_demo_learns_the_phantoms_and_says_where_everything_is(tmp_path):
    folder = tmp_path / "demo"
    line = [sys.executable, "-m", "monai_brain", "demo", "-o", str(folder)]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    accuracy = float(re.search(r"Held-out accuracy ([\d.]+)", done.stdout).group(1))
    assert accuracy > 0.9
    for name in ("datalist.json", "run/models/model.pt", "metrics.json", "predictions/predictions.csv"):
        assert (folder / name).is_file()
        assert name.split("/")[0] in done.stdout
    assert "not for diagnosis" in done.stdout

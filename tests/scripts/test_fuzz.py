"""scripts/fuzz.py: damaged files of every format, none of which may crash or hang the reader."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "fuzz.py"


@pytest.mark.slow
def test_no_damaged_file_is_at_fault():
    for module in ("h5py", "itk", "pydicom"):
        pytest.importorskip(module)
    done = subprocess.run(
        [sys.executable, SCRIPT, "--n", "500", "--seed", "7"], capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "500 files" in done.stdout
    for name in ("dicom", "jpeg", "mat", "nii"):
        assert f"{name}: read" in done.stdout
    assert "png: " in done.stdout  # a sum guards each of its bytes: hardly a damaged one is read
    assert "png: refused: damaged" in done.stdout

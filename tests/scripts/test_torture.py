"""scripts/torture.py: trainings killed at random moments end with an unbroken run's weights."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "torture.py"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_thirty_kills_change_nothing():
    pytest.importorskip("kan")
    pytest.importorskip("torchvision")
    if not hasattr(os, "fork"):
        pytest.skip("trainings are forked, which this system cannot do")
    done = subprocess.run(
        [sys.executable, SCRIPT, "--kills", "30", "--seed", "1"], capture_output=True, text=True, timeout=880
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "30 kills, 0 problems" in done.stdout
    assert sum(map(int, re.findall(r"(\d+) during a write", done.stdout))) >= 3

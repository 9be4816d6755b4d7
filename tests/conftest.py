"""What many tests share: phantoms on disk, folds, and one small training."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
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

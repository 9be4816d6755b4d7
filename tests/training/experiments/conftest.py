"""Phantoms without folds, the tiny model, and one finished cross-validation, once for all tests here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from monai_brain.data import datalist, phantoms, splits
from monai_brain.testing.tiny import tiny_bundle

SETTINGS = {"max_epochs": 2, "batch_size": 8}


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in one order, so that predictions of other processes can be equal to the last digit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 48 phantoms (images/), their datalist without folds, and the tiny model."""
    folder = tmp_path_factory.mktemp("experiments")
    phantoms.write("brain", folder, 48, seed=3, size=32)
    tiny_bundle(folder / "tiny")
    return folder


@pytest.fixture(scope="session")
def folds(workplace: Path) -> Path:
    """The datalist with three folds by patient."""
    split = splits.split(workplace / "datalist.json", "patient", folds=3)
    return datalist.write(split, workplace / "folds.json")


@pytest.fixture(scope="session")
def crossed(workplace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished cross-validation by patient and by image, with refit and shortcut control."""
    from monai_brain.training.experiments.cross_validation import cross_validate

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return cross_validate(
            workplace / "tiny",
            workplace / "datalist.json",
            tmp_path_factory.mktemp("crossed") / "cv",
            folds=3,
            scheme=("patient", "kfold"),
            allow_leakage=True,
            refit=True,
            shortcut=True,
            **SETTINGS,
        )
    finally:
        torch.set_num_threads(before)  # this fixture comes before `one_thread`, which would keep the one


def command(workplace: Path, output: Path) -> list[str]:
    """The command line of the cross-validation that `crossed` holds."""
    return [
        *("cross-validate", str(workplace / "tiny"), "--datalist", str(workplace / "datalist.json")),
        *("--folds", "3", "--scheme", "patient", "kfold", "--allow-leakage", "--refit", "--shortcut"),
        *(word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")),
        *("-o", str(output)),
    ]


def environment() -> dict[str, str]:
    """What a process of its own runs in: one thread, no GPU."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}

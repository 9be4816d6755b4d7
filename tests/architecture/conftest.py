"""A Python without the packages that a machine may not have."""

import importlib.metadata
import os
import re
import subprocess
import sys

import pytest

NEEDED = (
    *("torch", "numpy", "scipy", "scikit-learn", "opencv-python-headless", "monai", "pytorch-ignite"),
    *("pluggy", "tqdm", "fire", "pillow"),
)
# An import fails as where the package is not installed, and who only asks whether it is there is told no.
HIDE = """
import sys

ABSENT = frozenset({names!r})

class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] in ABSENT:
            return None
        return self.finder.find_spec(fullname, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
"""


def required(names):
    """Distributions that are installed when these are: they and what they require, without extras."""
    found, ahead = set(), list(names)
    while ahead:
        name = re.sub(r"[-_.]+", "-", ahead.pop()).lower()
        if name in found:
            continue
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
        ahead += [re.match(r"[\w.-]+", line)[0] for line in lines if "extra ==" not in line]
    return found


@pytest.fixture(scope="session")
def superfluous():
    """The top-level modules of all installed packages that training and evaluating do not need."""
    kept = required(NEEDED) | {"monai-brain"}
    found = {
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if not kept & {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners}
    }
    assert found >= {"pytest"}
    assert not found & {"torch", "monai", "numpy", "cv2", "sklearn", "ignite", "sympy"}
    return found


@pytest.fixture
def without(tmp_path):
    """A function that runs a program in a Python without some modules, and gives its output."""

    def run(modules, program):
        done = subprocess.run(
            [sys.executable, "-c", HIDE.format(names=sorted(modules)) + program],
            cwd=tmp_path,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run

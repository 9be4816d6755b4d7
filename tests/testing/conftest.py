"""Broken models, each a copy of the tiny one with one thing changed."""

import importlib
import sys
from pathlib import Path

import pytest

from monai_brain.bundles import Bundle
from monai_brain.files import read_json, write_json
from monai_brain.safety import trust
from monai_brain.testing.checks import CHECKS, run
from monai_brain.testing.outcome import CheckFailed
from monai_brain.testing.tiny import tiny_bundle


@pytest.fixture(autouse=True)
def trusted():
    """The broken models name code of the tests' own."""
    with trust.given():
        yield


class Model:
    """The tiny model in a test's folder, with ways to break it."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.monkeypatch = folder, monkeypatch
        self.root = tiny_bundle(folder / "tiny", weights=True).root

    @property
    def bundle(self) -> Bundle:
        return Bundle.at(self.root)  # anew, because a bundle reads its metadata once

    def edit(self, name, changes):
        """Set values of a config by id; the value None takes the key away."""
        path = self.root / "configs" / f"{name}.json"
        content = read_json(path)
        for where, value in changes.items():
            *above, last = where.split("#")
            place = content
            for step in above:
                place = place[int(step) if isinstance(place, list) else step]
            if value is None:
                del place[last]
            else:
                place[int(last) if isinstance(place, list) else last] = value
        write_json(path, content)
        return self

    def module(self, name, source):
        """Write a module that Python finds, and forget one of that name from another test."""
        (self.folder / f"{name}.py").write_text(source, encoding="utf-8")
        self.monkeypatch.delitem(sys.modules, name, raising=False)
        self.monkeypatch.syspath_prepend(str(self.folder))
        return self

    def network(self, body):
        """Let both recipes name a class Odd with this body."""
        head = "import torch\nfrom torch import nn\nfrom monai_brain.testing.tiny import TinyClassifier\n\n\n"
        lines = body.strip("\n").splitlines()
        self.module(
            "odd_network", head + "class Odd(TinyClassifier):\n" + "\n".join(f"    {x}" for x in lines) + "\n"
        )
        for name in ("train", "inference"):
            self.edit(name, {"network_def#_target_": "odd_network.Odd"})
        return self


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    return Model(tmp_path, monkeypatch)


PLUGIN = """
from pathlib import Path
import monai_brain as mb
{extra}

@mb.hookimpl
def register_bundles(register):
    register(mb.Bundle.at(Path(__file__).parent / "tiny"))
"""


def refused(model, name):
    """The sentence with which a check refuses the model."""
    with pytest.raises(CheckFailed) as caught:
        run(CHECKS[name], model.bundle)
    text = str(caught.value)
    assert "\n" not in text.strip()
    return text


def registered(model, registry, extra="", name="tiny_plugin"):
    model.module(name, PLUGIN.format(extra=extra))
    registry.add(importlib.import_module(name))
    assert registry.broken == {}

"""The built-in plugins use nothing that a stranger could not: in a stranger's package they offer the same."""

from __future__ import annotations

import ast
import importlib
import shutil
import sys
from pathlib import Path

import pytest
import torch

import monai_brain as mb
from monai_brain import registry
from monai_brain.hooked import KINDS

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py"))
THEIRS = {"monai_brain_plugins": "strangers_plugins", "monai_brain_bundles": "strangers_bundles"}


@pytest.fixture
def strangers(tmp_path, monkeypatch, isolated_registry):
    """Our plugins and bundles under other names, in a folder that Python finds."""
    for folder, package in (("plugins", "strangers_plugins"), ("bundles", "strangers_bundles")):
        ignored = shutil.ignore_patterns("__pycache__", "*.pt", "sample_data")
        copied = shutil.copytree(ROOT / folder, tmp_path / package, ignore=ignored)
        for path in copied.rglob("*"):
            if path.suffix in (".py", ".json"):
                text = path.read_text(encoding="utf-8")
                for ours, theirs in THEIRS.items():
                    text = text.replace(ours, theirs)
                path.write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in PLUGINS:
        isolated_registry.add(importlib.import_module(f"strangers_plugins.{name}"))
    yield isolated_registry
    for name in [name for name in sys.modules if name.partition(".")[0] in THEIRS.values()]:
        del sys.modules[name]


def test_as_a_stranger_s_they_offer_the_same(strangers, tmp_path):
    ours = registry._read()
    assert strangers.broken == {}
    for kind in KINDS:
        own = {name for name, offer in getattr(ours, kind).items() if is_ours(ours, kind, name, offer)}
        assert set(getattr(strangers, kind)) == own
    for name in strangers.bundles:
        assert mb.bundle(name).root.is_relative_to(tmp_path)
    network = mb.network("brain_tumor_resnet34")
    assert type(network).__module__.startswith("strangers_plugins.")
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, 64, 64)).shape == (1, 4)


def is_ours(found, kind, name, offer):
    module = found.sources[name] if kind == "bundles" else found.plugins[offer.plugin]
    return module.startswith("monai_brain_plugins.")


# Who may name our own plugins and bundles in the code, and why.
NAMED = {
    "registry.py": "our own entry points come first, so that nobody takes their names",
    "new_plugin/configs.py": "a new bundle begins as a copy of the baseline's",
    "demo.py": "the demonstration trains one of our models",
    "safety/trust.py": "what stands in our installed packages was trusted when they were installed",
    "safety/verify.py": "an account of a bundle tells our own code from others'",
}


def test_the_code_asks_for_no_plugin_of_ours_by_name():
    models = {
        path.name.removesuffix("_classification") for path in (ROOT / "bundles").glob("*_classification")
    }
    names = {*THEIRS, *models, *(f"{name}_classification" for name in models)}
    naming = set()
    for path in (ROOT / "monai_brain").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        if words & names:
            naming.add(path.relative_to(ROOT / "monai_brain").as_posix())
    assert naming == set(NAMED)

"""What is packed is what stands in the tree."""

import glob
import importlib.metadata
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]
FOLDERS = SETUPTOOLS["package-dir"]  # package -> folder
MOST_LINES = 300


def test_packages_are_those_of_the_tree():
    found = set()
    for package, folder in FOLDERS.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            inside = init.parent.relative_to(ROOT / folder).parts
            found.add(".".join((package, *inside)))
    assert sorted(SETUPTOOLS["packages"]) == sorted(found)
    assert SETUPTOOLS["packages"] == sorted(SETUPTOOLS["packages"])


def test_every_module_stands_in_a_package():
    for folder in FOLDERS.values():
        stray = [
            path for path in (ROOT / folder).rglob("*.py") if not (path.parent / "__init__.py").is_file()
        ]
        assert not stray


def packed(package):
    """The files of a package that its patterns take."""
    folder = ROOT / FOLDERS.get(package, package.replace(".", "/"))
    return {
        Path(name)
        for pattern in SETUPTOOLS["package-data"][package]
        for name in glob.glob(str(folder / pattern), recursive=True)  # noqa: PTH207  as setuptools does
    }


def test_everything_in_a_bundle_is_packed():
    wanted = {
        path
        for path in (ROOT / "bundles").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and path.parent != ROOT / "bundles"
    }
    assert not {str(path.relative_to(ROOT)) for path in wanted - packed("monai_brain_bundles")}
    assert ROOT / "bundles" / "brain_tumor_resnet34_classification" / "configs" / "train.json" in wanted


def test_everything_beside_the_modules_is_packed():
    wanted = {
        path
        for path in (ROOT / "monai_brain").rglob("*")
        if path.is_file() and path.suffix != ".pyc" and path.suffix != ".py"
    }
    assert not {str(path.relative_to(ROOT)) for path in wanted - packed("monai_brain")}
    assert ROOT / "monai_brain" / "py.typed" in wanted


def test_classifiers_are_true():
    classifiers = PROJECT["project"]["classifiers"]
    assert "Typing :: Typed" in classifiers
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert f"Programming Language :: Python :: {oldest}" in classifiers
    assert not [
        name for name in classifiers if name.startswith("License ::")
    ]  # the licence is an SPDX expression
    assert PROJECT["project"]["license"] == "Apache-2.0"


def test_every_plugin_of_ours_has_its_entry_point():
    plugins = {path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py")}
    stated = PROJECT["project"]["entry-points"]["monai_brain"]
    assert stated == {name: f"monai_brain_plugins.{name}" for name in plugins}
    installed = {entry.name: entry.value for entry in importlib.metadata.entry_points(group="monai_brain")}
    assert installed.items() >= stated.items(), "install it again: pip install -e ."


def test_the_version_is_one():
    import monai_brain

    assert PROJECT["project"]["version"] == monai_brain.__version__


@pytest.mark.parametrize("folder", sorted(FOLDERS.values()))
def test_no_file_holds_two_ideas(folder):
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text("utf-8").splitlines())) > MOST_LINES
    }
    assert not long
    vague = {"utils.py", "helpers.py", "base.py", "common.py", "misc.py"}
    assert not [path for path in (ROOT / folder).rglob("*.py") if path.name in vague]

"""What the code offers stands in docs/: hooks, commands, names, errors, keys, columns."""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from monai_brain import hookspecs, offers, registry
from monai_brain.cli import parser as command_line
from monai_brain.errors import MonaiBrainError

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PROSE = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("register_"))
BUNDLES = sorted((ROOT / "bundles").glob("*_classification"))


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch):
    """The pages' parts that are made from the code."""
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    return importlib.import_module("generated").PARTS


def leaves(parser: argparse.ArgumentParser, words: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    below = [action for action in parser._actions if action.nargs == argparse.PARSER]
    if not below:
        yield words.strip(), parser
    for action in below:
        for name, child in action.choices.items():
            yield from leaves(child, f"{words} {name}")


def commands() -> dict[str, argparse.ArgumentParser]:
    top, places = command_line.build()
    command_line.add_plugin_commands(places)
    return dict(leaves(top))


def signature(name: str, function) -> str:
    """How a function is called and what it gives, as its source has it; annotations there are no strings."""
    found = inspect.signature(function)
    return f"{name}{found.replace(parameters=[p for p in found.parameters.values() if p.name != 'self'])}"


def stands_in(written: str, text: str) -> bool:
    return written.replace("'", "") in text.replace("'", "")


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_has_a_section_with_its_signature(hook):
    text = page("plugin-hooks.md")
    assert f"\n## {hook}\n" in text
    section = text.split(f"\n## {hook}\n")[1].split("\n## ")[0]
    assert stands_in(signature(hook, getattr(hookspecs, hook)), section)


def test_what_hooks_are_handed_is_documented():
    text = page("plugin-hooks.md")
    for name, function in (
        ("register", offers.RegisterBundle.__call__),
        ("register", offers.Named.__call__),
        ("cli.add", offers.Commands.add),
    ):
        assert stands_in(signature(name, function), text), name


def test_each_hook_has_a_user_here():
    kinds = {"bundles", "datasets", "writers", "exporters", "commands"}
    assert {name.removeprefix("register_") for name in HOOKS} == kinds
    for kind in kinds:
        assert getattr(registry.registry(), kind)


def test_each_command_and_option_stands_in_the_generated_page(generated):
    text = generated["commands"]()
    assert "\n<!--" not in text
    sections = dict(part.partition("\n")[::2] for part in f"\n{text}".split("\n## ")[1:])
    found = commands()
    assert {"list", "data split", "train", "doctor"} <= sections.keys()
    assert sections.keys() == found.keys()
    for name, parser in found.items():
        usage = parser.format_help()
        for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", usage)) - {"--help"}:
            assert option in sections[name], f"{name} {option}"
        for action in parser._get_positional_actions():
            assert str(action.metavar or next(iter(action.choices))) in sections[name], (
                f"{name} {action.dest}"
            )


@pytest.mark.parametrize("name", sorted(commands()))
def test_each_argument_says_what_it_is(name):
    silent = [action.dest for action in commands()[name]._actions if not action.help]
    assert not silent


@pytest.mark.parametrize("name", sorted(commands()))
def test_each_command_is_named_in_prose(name):
    texts = [path.read_text(encoding="utf-8") for path in PROSE if path.name != "cli.md"]
    assert any(re.search(rf"monai-brain {name}\b", text) for text in texts)


def subclasses_in_the_source() -> dict[str, str]:
    """Error class to module, read from the source without importing it."""
    bases: dict[str, tuple[list[str], str]] = {}
    for path in (ROOT / "monai_brain").rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = ([base.id for base in node.bases if isinstance(base, ast.Name)], module)
    known = {"MonaiBrainError"}
    while new := {name for name, (above, _) in bases.items() if known & set(above)} - known:
        known |= new
    return {name: bases[name][1] for name in known}


def test_each_error_class_stands_in_the_table_with_its_exit_status(generated):
    table = generated["errors"]()
    found = subclasses_in_the_source()
    assert {"MonaiBrainError", "UnreadableImageError", "MissingExtraError"} <= found.keys()
    for name, module in found.items():
        kind = getattr(importlib.import_module(module), name)
        assert issubclass(kind, MonaiBrainError)
        assert f"| `{name}` | {kind.exit_status} |" in table
    assert table.count("\n") == len(found) + 1


def test_each_exit_status_is_explained():
    from monai_brain import cli
    from monai_brain.cli import predict

    text = page("errors.md")
    statuses = {kind.exit_status for kind in (MonaiBrainError, *MonaiBrainError.__subclasses__())}
    for status in statuses | {predict.SOME_FAILED, 0, 1}:
        assert f"\n| {status} |" in text
    assert f"\n| {cli.INTERRUPTED}, {cli.TERMINATED} |" in text


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_each_key_of_a_bundle_is_explained(bundle):
    text = page("bundle-reference.md")
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    facts = metadata["monai_brain"]
    keys = {*metadata, *facts, *facts["paper"], *facts.get("weights", {})}
    for name in ("train", "evaluate", "inference", "multi_gpu_train", "recipe_strong"):
        recipe = json.loads((bundle / "configs" / f"{name}.json").read_text(encoding="utf-8"))
        keys |= {key for key in recipe if "#" not in key}
        assert f"`configs/{name}.json`" in text
    assert not sorted(key for key in keys if f"`{key}`" not in text)


def test_each_model_and_variant_stands_in_the_generated_page(generated):
    text = generated["models"]()
    for bundle in BUNDLES:
        facts = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))["monai_brain"]
        section = text.split(f"## {facts['model']}\n")[1].split("\n## ")[0]
        assert facts["disclaimer"] in section
        assert f"{facts['parameters']:,}" in section
        for variant in facts["variants"]:
            assert f"| `{variant}` |" in section


@pytest.mark.parametrize("kind", ["datasets", "writers", "exporters"])
def test_each_offer_stands_in_the_generated_table(generated, kind):
    for name, offer in getattr(registry.registry(), kind).items():
        if offer.plugin == "builtin":
            assert f"| `{name}` | {offer.help} |" in generated[kind]()


@pytest.mark.parametrize("kind", ["bundles", "datasets", "writers", "exporters", "commands"])
def test_each_hook_names_its_users_here(kind):
    section = page("plugin-hooks.md").split(f"\n## register_{kind}\n")[1].split("\n## ")[0]
    found = getattr(registry.registry(), kind)
    named = [name for name in found if f"`{name}`" in section]
    assert named == list(found) or (kind == "bundles" and "every model's plugin" in section)


def test_each_image_format_is_named(generated):
    from monai_brain.data.formats import FORMATS

    assert {f"`{known.name}`" for known in FORMATS} == set(generated["formats"]().split(", "))


def test_each_column_and_figure_is_explained():
    from monai_brain.evaluation.metrics import OVERALL, PER_CLASS
    from monai_brain.evaluation.prediction_columns import AFTER_SCORES, BEFORE_SCORES

    text = page("evaluation.md")
    missing = [
        name for name in (*BEFORE_SCORES, *AFTER_SCORES, *OVERALL, *PER_CLASS) if f"`{name}`" not in text
    ]
    assert not missing


def test_each_split_scheme_and_datalist_key_is_explained():
    from monai_brain.data.splits import SCHEMES

    text = page("data-and-splits.md")
    for name in (*SCHEMES, "image", "label", "class_name", "patient_id", "group", "source", "sha256", "fold"):
        assert f"`{name}`" in text
    for name in ("validates", "leakage"):
        assert f"`{name}`" in text


def test_each_extra_is_explained():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    text = page("install.md")
    assert not [name for name in extras if f"`{name}`" not in text and f"[{name}]" not in text]


def test_each_check_of_the_kit_is_explained():
    checks = pytest.importorskip("monai_brain.testing.checks", reason="this version has no conformance kit")
    text = page("conformance.md")
    assert not [name for name in checks.CHECKS if f"| `{name}` |" not in text]


def test_each_generated_part_is_used_and_known(generated):
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCS.glob("*.md"))
    marks = set(re.findall(r"^<!-- generated: (.+) -->$", text, re.MULTILINE))
    assert marks == set(generated)

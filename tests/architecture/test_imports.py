"""The house's one direction: who may import whom, and who must stay light."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE, PLUGINS = ROOT / "monai_brain", ROOT / "plugins"

# Each room with the rooms below it. What stands in a row may use what its row names, itself, and no more.
LADDER = (
    *("errors", "files", "home", "bundles", "offers", "hookspecs", "requirement", "hooked", "isolation"),
    *("registry", "safety", "recipe"),
)
CORE = tuple(name for name in LADDER if name not in ("hooked", "isolation", "requirement"))
ROOMS = {
    **{name: LADDER[:place] for place, name in enumerate(LADDER)},
    "probing": LADDER[: LADDER.index("isolation")],  # the other end of what isolation asks
    "data": CORE,
    "transforms": CORE,
    "evaluation": CORE,
    "inference": (*CORE, "data", "transforms", "evaluation"),
    "dicom_out": (*CORE, "data", "transforms", "evaluation", "inference"),
}
ROOMS["training"] = (*ROOMS["dicom_out"], "dicom_out")
UPPER = ("reporting", "integrations", "testing", "new_plugin", "demo")
ROOMS |= dict.fromkeys(UPPER, (*ROOMS["training"], "training", *UPPER))
ROOMS["cli"] = (*ROOMS["testing"], "testing")
ROOMS["__main__"] = ("cli",)
SHARED = "monai_brain.evaluation.predictions"  # the pivot: every room may read and write predictions

LIGHT = [
    *(f"monai_brain.{name}" for name in CORE),
    *(
        "monai_brain",
        "monai_brain.cli",
        "monai_brain.cli.parser",
        "monai_brain.cli.models",
        "monai_brain_bundles",
    ),
    *("monai_brain.testing", "monai_brain.testing.pytest_plugin"),
    *(f"monai_brain_plugins.{path.parent.name}" for path in sorted(PLUGINS.glob("*/__init__.py"))),
]


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def imported(path: Path) -> list[tuple[int, int, str, str]]:
    """Line, level, module and name of each import that runs, wherever in the file it stands."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            node.body = []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, 0, alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.lineno, node.level, node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found += [(node.lineno, 0, x.value, "") for x in node.args if isinstance(x, ast.Constant)]
    return found


def room_of(dotted: str) -> str:
    """The room in which "monai_brain.data.datalist" stands."""
    return dotted.split(".")[1]


def ours(module: str, name: str) -> str | None:
    """The module of ours that an import names, or None; `from monai_brain import registry` names one too."""
    if module == "monai_brain" and name:
        inside = PACKAGE / name
        return f"monai_brain.{name}" if inside.is_dir() or inside.with_suffix(".py").is_file() else None
    return module if module.startswith("monai_brain.") else None


def test_every_room_has_its_place():
    assert modules(PACKAGE)[0] == PACKAGE / "__init__.py"
    assert not [module for _, _, module, name in imported(PACKAGE / "__init__.py") if ours(module, name)]
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules(PACKAGE)}
    assert rooms - {"__init__"} <= ROOMS.keys(), "a new room: say in ROOMS what it may import"


# The package's own __init__ holds the doors: it names rooms as strings, and imports none until one is used.
@pytest.mark.parametrize("path", modules(PACKAGE)[1:], ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_one_way(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    wrong = []
    for line, level, module, name in imported(path):
        target = ours(module, name)
        if level:
            wrong.append(f"line {line}: a relative import; write monai_brain in full")
        elif module.startswith(("monai_brain_plugins", "monai_brain_bundles")):
            wrong.append(f"line {line}: {module}; only plugins' entry points and recipes name plugins")
        elif target is not None:
            other = room_of(target)
            shared = SHARED in (target, f"{target}.{name}")
            if other != room and other not in ROOMS[room] and not shared:
                wrong.append(f"line {line}: {room} must not import {target}")
    assert not wrong


def test_data_transforms_and_evaluation_do_not_know_one_another():
    for room in ("data", "transforms", "evaluation"):
        assert not {"data", "transforms", "evaluation"} & set(ROOMS[room])


def test_nothing_knows_the_command_line():
    knowing = {
        path.relative_to(PACKAGE).as_posix()
        for path in modules(PACKAGE)
        for _, _, module, name in imported(path)
        if (ours(module, name) or "").startswith("monai_brain.cli")
    }
    assert {path for path in knowing if not path.startswith("cli/")} == {"__main__.py"}


@pytest.mark.parametrize("path", modules(PLUGINS), ids=lambda path: path.relative_to(PLUGINS).as_posix())
def test_plugins_know_public_names_alone(path):
    wrong = []
    depth = len(path.relative_to(PLUGINS).parts) - 1
    for line, level, module, name in imported(path):
        if level > depth:
            wrong.append(f"line {line}: reaches out of its own plugin")
        if module.startswith(("monai_brain_plugins", "monai_brain_bundles")):
            wrong.append(f"line {line}: {module}; import your own modules relatively, another plugin's never")
        if module.partition(".")[0] == "monai_brain":
            parts = [*module.split("."), name]
            if any(part.startswith("_") for part in parts if part) or parts[1:2] in (["cli"], ["testing"]):
                wrong.append(f"line {line}: {module}.{name} is not public")
    assert not wrong


def test_bundles_hold_no_code_of_their_own():
    assert modules(ROOT / "bundles") == [ROOT / "bundles" / "__init__.py"]
    assert imported(ROOT / "bundles" / "__init__.py") == []


def test_light_rooms_stay_light():
    """In one process, so that what one of them drags in is seen whoever comes first."""
    program = (
        "import importlib, json, sys\n"
        "found = {}\n"
        "heavy = ('torch', 'monai', 'numpy', 'ignite', 'cv2', 'scipy')\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    found[name] = [module for module in heavy if module in sys.modules]\n"
        "print(json.dumps(found))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *LIGHT], capture_output=True, text=True, check=True)
    assert {name: heavy for name, heavy in json.loads(done.stdout).items() if heavy} == {}


def test_public_names_are_listed_without_being_loaded():
    program = (
        "import monai_brain, inspect, sys\n"
        "inspect.getmembers(monai_brain)\n"
        "assert 'torch' not in sys.modules\n"
        "assert set(monai_brain.__all__) >= {'train', 'check', 'models', 'Bundle'}\n"
        "assert monai_brain.check.__name__\n"
        "assert 'torch' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import monai_brain.cli.runs", [("monai_brain.cli.runs", "")]),
        ("def f():\n    from monai_brain.training import workflow", [("monai_brain.training", "workflow")]),
        (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import monai_brain.cli",
            [("typing", "TYPE_CHECKING")],
        ),
        (
            "import importlib\nimportlib.import_module('monai_brain.cli')",
            [("importlib", ""), ("monai_brain.cli", "")],
        ),
    ],
)
def test_the_reader_of_imports_sees_what_runs(tmp_path, source, found):
    path = tmp_path / "module.py"
    path.write_text(source, encoding="utf-8")
    assert [(module, name) for _, _, module, name in imported(path)] == found

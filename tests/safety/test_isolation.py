"""Strangers' plugins: each is asked in a process of its own; one that hangs or crashes is a line in list."""

import json
import shutil
import sys
import time

import pytest

from monai_brain import isolation, registry
from monai_brain.cli import main

HOOK = "import monai_brain as mb\n\n@mb.hookimpl\n"
COMMAND = HOOK + "def register_commands(cli):\n    cli.add('greet', run, help='say it', arguments=fill)\n\n\n"
GREET = COMMAND + (
    "def fill(parser):\n    parser.add_argument('who')\n\n\n"
    "def run(options):\n    print('good day', options.who)\n    return 7\n"
)
STATE = "import pathlib\npathlib.Path({asked!r}).open('a').write('x')\n"
# what the plugin does -> (source, what its reason says)
HOSTILE = {
    "aborts": ("import os\nos.abort()", "it crashed: SIGABRT"),
    "segfaults": ("import ctypes\nctypes.string_at(0)", "it crashed: SIGSEGV"),
    "leaves_at_once": ("import os\nos._exit(0)", "it ended the process with status 0"),
    "interrupts": ("raise KeyboardInterrupt", "it crashed: SIGINT"),
    "kills_itself": ("import os\nos.kill(os.getpid(), 9)", "it crashed: SIGKILL"),
    "recurses": ("def f():\n    f()\n\nf()", "RecursionError"),
    "is_for_another_version": (
        "requires_monai_brain = '>=99'\n" + HOOK + "def register_commands(cli):\n    pass",
        "requires monai_brain >=99, this is ",
    ),
    "asks_for_nonsense": ("requires_monai_brain = 'newest'", "which is no version specifier"),
    "fills_badly": (COMMAND + "def fill(parser):\n    parser.add_argument(3)\n\n\nrun = print\n", "Error"),
    "floods": (
        "import sys\nsys.stdout.write('x' * 10**7)\nsys.stderr.write('x' * 10**7)\n1 / 0",
        "ZeroDivision",
    ),
    "closes_all": ("import os\nos.closerange(0, 3)\nraise OSError('closed')", "OSError: closed"),
    "asks_for_models": (
        "import monai_brain as mb\nmb.models()\nraise ValueError('asked')",
        "ValueError: asked",
    ),
}
HANGS = {
    "hangs": "import time\ntime.sleep(100)",
    "hangs_in_its_hook": HOOK + "def register_commands(cli):\n    import time\n    time.sleep(100)",
    "hangs_with_a_child": "import subprocess\nsubprocess.run(['sleep', '100'])",
    "turns_for_ever": "while True:\n    pass",
}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that installs plugins as pip would, for this process."""
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))

    names = set()

    def do(sources, distribution="strangers", version="1.0", requires=()):
        info = place / f"{distribution}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        lines = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}"]
        lines += [f"Requires-Dist: {one}" for one in requires]
        (info / "METADATA").write_text("\n".join([*lines, ""]), "utf-8")
        points = "\n".join(f"{name} = {name}_plugin" for name in sources)
        (info / "entry_points.txt").write_text(f"[monai_brain]\n{points}\n", "utf-8")
        names.update(f"{name}_plugin" for name in sources)
        for name, source in sources.items():
            (place / f"{name}_plugin.py").write_text(source + "\n", "utf-8")
        registry.forget()
        return place

    yield do
    for name in names:
        sys.modules.pop(name, None)


def test_each_hostile_plugin_is_named_and_the_rest_works(install, capsys):
    install({"greeter": GREET, **{name: source for name, (source, _) in HOSTILE.items()}})
    assert main(["list", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["broken"].keys() == HOSTILE.keys()
    for name, (_, reason) in HOSTILE.items():
        assert reason in content["broken"][name], name
    assert content["plugins"]["greeter"] == "greeter_plugin"
    assert {"brain_tumor_resnet34", "baseline"} <= {model["name"] for model in content["models"]}
    assert not {f"{name}_plugin" for name in (*HOSTILE, "greeter")} & sys.modules.keys()  # none ran here
    assert main(["greet", "all"]) == 7
    assert capsys.readouterr().out == "good day all\n"


def test_plugins_that_hang_are_ended_together(install, monkeypatch):
    install(HANGS)
    monkeypatch.setattr(isolation, "LIMIT", 2.0)
    began = time.monotonic()
    found = registry.registry()
    assert time.monotonic() - began < 2 * isolation.LIMIT * len(HANGS) / 2
    assert found.broken.keys() == HANGS.keys()
    assert all("did not answer within 2 s" in reason for reason in found.broken.values())
    assert "brain_tumor_resnet34" in found.bundles
    registry.forget()
    began = time.monotonic()
    assert registry.registry().broken == found.broken  # remembered: nobody waits again
    assert time.monotonic() - began < 1


def test_asked_once_until_something_changes(install, tmp_path):
    asked = tmp_path / "asked"
    source = STATE.format(asked=str(asked)) + GREET
    place = install({"greeter": source})

    def times():
        registry.forget()
        assert "greet" in registry.registry().commands
        return len(asked.read_text())

    assert [times(), times()] == [1, 1]
    (place / "greeter_plugin.py").write_text(source + "# changed\n", "utf-8")
    assert [times(), times()] == [2, 2]
    (place / "strangers-1.0.dist-info").rename(place / "strangers-1.1.dist-info")
    metadata = place / "strangers-1.1.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text("utf-8").replace("1.0", "1.1"), "utf-8")
    assert [times(), times()] == [3, 3]
    (tmp_path / "home" / "plugins.json").write_text("{", "utf-8")
    assert [times(), times()] == [4, 4]
    registry.read_again()
    assert len(asked.read_text()) == 5


def test_a_copy_elsewhere_of_the_same_version_is_asked_for_itself(install, tmp_path, monkeypatch):
    place = install({"good": GREET})
    assert registry.registry().broken == {}
    shutil.copytree(place, tmp_path / "copy")
    changed = tmp_path / "copy" / "good_plugin.py"
    changed.write_text(GREET.replace("register_commands", "register_command"), "utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "copy"), *(p for p in sys.path if p != str(place))])
    registry.forget()
    assert "Did you mean 'register_commands'?" in registry.registry().broken["good"]


def test_a_missing_package_is_looked_for_again(install):
    place = install({"needy": "import surely_absent\n" + GREET})
    assert "surely_absent" in registry.registry().broken["needy"]
    (place / "surely_absent.py").write_text("", "utf-8")
    registry.forget()
    assert "greet" in registry.registry().commands


def test_what_the_distribution_requires_is_checked(install):
    install({"greeter": "raise SystemExit(5)"}, requires=["numpy", "Monai_Brain[dicom] >=99"])
    assert "requires monai_brain >=99" in registry.registry().broken["greeter"]


def test_a_stranger_s_bundle_is_a_model_like_any(install, strange):
    source = HOOK + f"def register_bundles(register):\n    register(mb.Bundle.at({str(strange.root)!r}))\n"
    place = install({"model": source})
    found = registry.registry()
    assert (found.bundles["tiny"].root, found.sources["tiny"]) == (strange.root, "model_plugin")
    strange.config("metadata").unlink()
    registry.forget()
    assert "has no configs/metadata.json" in registry.registry().broken["model"]
    assert place.is_dir()


def test_the_variable_keeps_others_from_being_asked(install, tmp_path, monkeypatch):
    asked = tmp_path / "asked"
    install({"greeter": STATE.format(asked=str(asked)) + GREET})
    monkeypatch.setenv("MONAI_BRAIN_PLUGINS", "builtin")
    assert "greet" not in registry.registry().commands
    assert not asked.exists()


def test_a_home_that_cannot_be_written_costs_only_time(install, tmp_path):
    (tmp_path / "home").write_text("a file")
    install({"greeter": GREET})
    assert "greet" in registry.registry().commands

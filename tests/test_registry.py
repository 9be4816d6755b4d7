"""Installed plugins, healthy and broken: each broken one is named with its reason, and the rest works."""

import json
import os
import subprocess
import sys

import pytest

HOOK = "import monai_brain as mb\n\n@mb.hookimpl\n"
OURS = "brain_tumor_resnet34"

# entry point -> (source of its module, what the reason says)
BROKEN = {
    "raises_at_import": ("raise RuntimeError('no licence\\nfile')", "RuntimeError: no licence file"),
    "leaves_at_import": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "does_not_compile": ("def register_bundles(register:", "SyntaxError: "),
    "wrong_signature": (
        HOOK + "def register_bundles(register, folder):\n    pass",
        "Argument(s) {'folder'} are declared in the hookimpl but can not be found in the hookspec",
    ),
    "misspelt_hook": (
        HOOK + "def register_bundels(register):\n    pass",
        "'register_bundels' is no hook. Did you mean 'register_bundles'?",
    ),
    "takes_a_name": (
        HOOK
        + "def register_bundles(register):\n"
        + f"    register(mb.Bundle.in_package('monai_brain_bundles', '{OURS}_classification'))",
        f"the name '{OURS}' among bundles is taken by another plugin",
    ),
    "raises_in_its_hook": (
        HOOK + "def register_commands(cli):\n    raise KeyError('colour')",
        "KeyError: 'colour'",
    ),
    "bundle_missing": (
        HOOK
        + "def register_bundles(register):\n"
        + "    register(mb.Bundle.in_package('monai_brain_bundles', 'nowhere_classification'))",
        "Package 'monai_brain_bundles' has no bundle folder 'nowhere_classification'.",
    ),
    "registers_no_bundle": (
        HOOK + "def register_bundles(register):\n    register('a folder')",
        "register takes a monai_brain.Bundle, not str",
    ),
}
HEALTHY = (
    HOOK + "def register_datasets(register):\n    register('odd', 'healthy_plugin:read', help='nothing')"
)


@pytest.fixture
def installed(tmp_path):
    """A function that installs plugins as pip would, and runs monai-brain where they are installed."""
    place = tmp_path / "site"
    place.mkdir()

    def install(sources, distribution="strangers"):
        info = place / f"{distribution}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n", "utf-8"
        )
        lines = [f"{name} = {name}_plugin" for name in sources]
        (info / "entry_points.txt").write_text("\n".join(["[monai_brain]", *lines, ""]), "utf-8")
        for name, source in sources.items():
            if source is not None:
                (place / f"{name}_plugin.py").write_text(source + "\n", "utf-8")

    def run(*arguments, plugins=None):
        environment = {key: value for key, value in os.environ.items() if key != "MONAI_BRAIN_PLUGINS"}
        environment |= {"PYTHONPATH": str(place), "PYTHONWARNINGS": "ignore"}
        if plugins is not None:
            environment["MONAI_BRAIN_PLUGINS"] = plugins
        return subprocess.run(
            [sys.executable, "-m", "monai_brain", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return install, run


def test_every_broken_plugin_is_named_with_its_reason(installed):
    install, run = installed
    install({"healthy": HEALTHY, "absent": None, **{name: source for name, (source, _) in BROKEN.items()}})
    told = run("list", "--json")
    assert (told.returncode, told.stderr) == (0, "")
    content = json.loads(told.stdout)
    assert OURS in {model["name"] for model in content["models"]}
    assert {OURS, "builtin", "healthy"} <= content["plugins"].keys()
    assert content["broken"].keys() == {*BROKEN, "absent"}
    for name, (_, reason) in BROKEN.items():
        assert reason in content["broken"][name]
        assert "\n" not in content["broken"][name]
    assert content["broken"]["absent"] == "ModuleNotFoundError: No module named 'absent_plugin'"

    lines = run("list").stdout.splitlines()
    assert any(line.startswith(OURS) for line in lines)
    for name, (_, reason) in BROKEN.items():
        assert any(line.startswith(f"broken plugin {name}: ") and reason in line for line in lines)


def test_doctor_names_them_too(installed):
    install, run = installed
    install({"healthy": HEALTHY, **{name: source for name, (source, _) in BROKEN.items()}})
    told = run("doctor", "--json")
    findings = {found["what"]: found for found in json.loads(told.stdout)["findings"]}
    for name, (_, reason) in BROKEN.items():
        assert findings[f"plugin {name}"]["state"] == "broken"
        assert reason in findings[f"plugin {name}"]["detail"]
    for name in (OURS, "builtin", "healthy"):
        assert findings[f"plugin {name}"]["state"] == "ok"
    assert findings[f"weights of {OURS}"]["state"] in ("ok", "absent")


def test_a_broken_plugin_adds_nothing(installed):
    install, run = installed
    half = HEALTHY.replace("odd", "half") + "\n    raise RuntimeError('too late')"
    install({"half": half})
    told = run("data", "index", "half", "nowhere", "-o", "list.json")
    assert told.returncode == 2
    assert told.stderr.startswith("monai-brain: Unknown kind of dataset 'half'.")


def test_two_distributions_with_one_name(installed):
    install, run = installed
    install({OURS: HEALTHY}, "impostor")
    content = json.loads(run("list", "--json").stdout)
    assert content["plugins"][OURS] == f"monai_brain_plugins.{OURS}"
    assert content["plugins"][f"{OURS} ({OURS}_plugin)"] == f"{OURS}_plugin"  # it bears its module's name too


def test_the_variable_selects(installed):
    install, run = installed
    install({"healthy": HEALTHY, "raises_at_import": BROKEN["raises_at_import"][0]})
    content = json.loads(run("list", "--json", plugins="healthy, builtin").stdout)
    assert content["plugins"].keys() == {"healthy", "builtin"}
    assert (content["models"], content["broken"]) == ([], {})
    content = json.loads(run("list", "--json", plugins=f"{OURS}, healthi").stdout)
    assert [model["name"] for model in content["models"]] == [OURS]
    assert "Did you mean 'healthy'?" in content["broken"]["healthi"]
    assert json.loads(run("list", "--json", plugins="").stdout)["plugins"] == {}


def test_a_plugin_s_command_runs_and_cannot_take_a_built_in_s_name(installed):
    install, run = installed
    source = HOOK + (
        "def register_commands(cli):\n"
        "    cli.add('greet', 'greeter_plugin:greet', help='say something')\n"
        "    cli.add('list', 'greeter_plugin:greet')\n\n"
        "def greet(options):\n"
        "    print('good day')\n"
        "    return 7\n"
    )
    install({"greeter": source})
    told = run("greet")
    assert (told.returncode, told.stdout, told.stderr) == (7, "good day\n", "")
    assert OURS in run("list").stdout
    assert "greet" in run("--help").stdout

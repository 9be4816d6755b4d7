"""The decorator and the fixture as a plugin's author meets them: in a pytest run of their own."""

import os
import subprocess
import sys

import pytest

from monai_brain.errors import UnknownNameError
from monai_brain.testing.parametrize import parametrize_with_checks

OTHERS = """
import monai_brain as mb
from monai_brain.testing.parametrize import parametrize_with_checks

REASONS = {{"metadata_complete": "no copyright yet", "zoo_rules": "was"}}

@parametrize_with_checks([{root!r}], expected_failures=REASONS)
def test_conformance(bundle, check):
    check(bundle)

def test_registry(isolated_registry):
    assert mb.models() == []
"""


def test_each_outcome_is_pytest_s_own(model, tmp_path):
    model.edit("metadata", {"copyright": None, "monai_brain#phantom": None})
    model.edit("train", {"amp": None})
    (tmp_path / "test_others.py").write_text(OTHERS.format(root=str(model.root)), encoding="utf-8")
    wanted = "metadata_complete or zoo_rules or strict_json or import_is_light or recipe_keys or registry"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-rA",
            "-q",
            "-p",
            "no:cacheprovider",
            "-k",
            wanted,
            "test_others.py",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()

    def outcome(name):
        return next(
            line
            for line in lines
            if line.startswith(("PASSED", "FAILED", "XFAIL", "SKIPPED")) and name in line
        )

    assert outcome("tiny-strict_json]").startswith("PASSED")
    assert outcome("tiny-metadata_complete]").startswith("XFAIL")
    assert "no copyright yet" in outcome("tiny-metadata_complete]")
    assert outcome("tiny-zoo_rules]").startswith("FAILED")  # an expectation that is out of date
    assert outcome("tiny-recipe_keys]").startswith("FAILED")
    assert "lacks amp at its top" in done.stdout
    assert outcome("no plugin registers it").startswith("SKIPPED")
    assert outcome("test_registry").startswith("PASSED")


def test_names_are_known(model):
    with pytest.raises(UnknownNameError, match="Did you mean 'forward'"):
        parametrize_with_checks([model.bundle], {"forwards": "why"})
    with pytest.raises(UnknownNameError, match="Unknown model 'nobody'"):
        parametrize_with_checks(["nobody"])


def test_the_plugin_is_light():
    program = (
        "import sys, monai_brain.testing.pytest_plugin; print([name for name in sys.modules if "
        "name.startswith('monai') or name in ('torch', 'numpy')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert sorted(eval(done.stdout)) == [
        "monai_brain",
        "monai_brain.testing",
        "monai_brain.testing.pytest_plugin",
    ]


def test_the_isolated_registry_is_put_back(isolated_registry):
    from monai_brain import registry

    with registry.isolated() as inner:
        assert registry.registry() is inner
    assert registry.registry() is isolated_registry

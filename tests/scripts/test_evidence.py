"""scripts/evidence.py: its commands are ones that monai-brain takes, in an order that can be run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from monai_brain import registry
from monai_brain.cli.parser import parse
from monai_brain.data import phantoms
from monai_brain.files import read_json

SCRIPTS = Path(__file__).parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

import evidence  # noqa: E402
from studies import results  # noqa: E402
from studies.steps import SCALES, steps  # noqa: E402


@pytest.mark.parametrize("name", sorted(SCALES))
def test_every_command_is_one_that_the_program_takes(name, tmp_path):
    everything = steps(tmp_path / "data", SCALES[name])
    for step in everything:
        if step.without:
            continue
        options = parse(evidence.words(step, everything, tmp_path))
        assert options.output == str(step.place(tmp_path))
        for given in getattr(options, "overrides", []):
            key = given.partition("=")[0].removesuffix("#1#prob")
            assert key in _keys(options.model if hasattr(options, "model") else options.models[0])
        if getattr(options, "variants", None):
            known = registry.bundle(options.model).facts["variants"]
            assert set(options.variants.split(",")) <= set(known)


def _keys(model):
    bundle = registry.bundle(model)
    return {key for name in ("train", "recipe_strong") for key in read_json(bundle.config(name))}


@pytest.mark.parametrize("name", sorted(SCALES))
def test_what_a_step_needs_comes_before_it(name, tmp_path):
    before = set()
    for step in steps(tmp_path, SCALES[name]):
        needed = {found for word in step.words for found in re.findall(r"\{(\w+)\}", word)}
        assert needed <= before, step.name
        assert step.name not in before
        before.add(step.name)
    assert {row.step for row in results.ROWS} <= before | {"regions_0_on_test"}


def test_only_what_is_asked_for_and_what_it_needs(tmp_path):
    everything = steps(tmp_path, SCALES["cpu"])
    found = [step.name for step in evidence._needed(everything, ["brain_elsewhere"])]
    assert found == [
        "figshare",
        "no_tumour",
        "elsewhere",
        "joined",
        "four",
        "brain_strong",
        "brain_elsewhere",
    ]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_trial_on_phantoms_goes_on_and_ends_in_a_page(tmp_path):
    data = tmp_path / "data"
    for folder, kind, classes, count in (
        ("figshare3064", "brain", ["glioma", "meningioma", "pituitary"], 48),
        ("br35h_notumor1500", "brain", ["no_tumor"], 40),
        ("outside", "brain", ["glioma", "meningioma", "pituitary", "no_tumor"], 12),
    ):
        _manifest(phantoms.write(kind, data / folder, count, seed=len(folder), size=48, classes=classes))
    out, page = tmp_path / "out", tmp_path / "results.md"
    command = [sys.executable, str(SCRIPTS / "evidence.py"), str(data), "-o", str(out), "--scale", "trial"]
    wanted = ["--only", "brain_elsewhere", "regions_0"]
    assert subprocess.run([*command, *wanted, "--minutes", "0.5"], check=False).returncode in (0, 3)
    done = subprocess.run([*command, *wanted], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    again = subprocess.run([*command, *wanted], check=False, capture_output=True, text=True)
    assert (again.returncode, again.stdout) == (0, "")
    assert subprocess.run([*command, "--results", str(page)], check=False).returncode == 0
    text = page.read_text(encoding="utf-8")
    assert re.search(r"by patient, the three tumours \| none \| [01]\.\d{3} \(", text)
    assert "`monai-brain cross-validate brain_tumor_resnet34" in text
    assert "pointing game" not in text  # it was not run
    assert str(tmp_path) not in text


def _manifest(written):
    """The table that a published set has, in place of the datalist that phantoms have."""
    import csv

    from monai_brain.data import datalist

    with (written.parent / "manifest.csv").open("w", encoding="utf-8", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(["file", "label", "patient_id"])
        for item in datalist.read(written)["training"]:
            place = Path(item["image"]).relative_to(written.parent)
            lines.writerow([place.as_posix(), item["class_name"], item["patient_id"]])
    written.unlink()

"""Every variant is checked as a model of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

import check_all  # noqa: E402

from monai_brain.inference.weights import network  # noqa: E402


@pytest.mark.parametrize(
    ("model", "variant"),
    [("brain_tumor_resnet34", "resnet34_a"), ("brain_tumor_efficientnet_b2", "efficientnet_b0")],
)
def test_a_varied_bundle_is_the_variant(model, variant, tmp_path):
    bundle = check_all.bundles()[model]
    shapes = {key: value.shape for key, value in network(bundle, variant=variant).state_dict().items()}
    copy = check_all.varied(bundle, variant, tmp_path)
    assert {key: value.shape for key, value in network(copy).state_dict().items()} == shapes
    assert {key: value.shape for key, value in network(bundle).state_dict().items()} != shapes


def test_only_what_a_recipe_has_is_set():
    content = {"size": 1, "network_def": {"wide": False}}
    for key in ("size", "network_def#wide", "network_def#absent", "absent", "absent#wide"):
        check_all.put(content, key.split("#"), 2)
    assert content == {"size": 2, "network_def": {"wide": 2}}


def test_a_failed_check_is_named_and_counted(tmp_path, capsys):
    bundle = check_all.bundles()["brain_tumor_resnet34"].copy(tmp_path / "copy")
    assert check_all.report("one", bundle, ["strict_json"]) == 0
    assert capsys.readouterr().out.startswith("ok      one: 1 passed")
    path = bundle.config("train")
    path.write_text(
        path.read_text(encoding="utf-8").replace("{", '{"seed": 1, "seed": 2, ', 1), encoding="utf-8"
    )
    assert check_all.report("one", bundle, ["strict_json"]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("FAILED  one: 1 failed")
    assert second.strip().startswith("strict_json: ")


def test_an_unknown_model_is_status_2():
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "check_all.py"), "--only", "nothing"], capture_output=True, timeout=60
    )
    assert done.returncode == 2

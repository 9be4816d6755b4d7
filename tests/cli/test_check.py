"""monai-brain check: one line a check, and an exit status that a script can trust."""

import json

import pytest

import monai_brain as mb
from monai_brain.cli import main
from monai_brain.files import read_json, write_json
from monai_brain.testing.tiny import tiny_bundle

FEW = ["--only", "strict_json", "forward", "weights"]


@pytest.fixture
def bundle(tmp_path):
    return tiny_bundle(tmp_path / "tiny")


def edit(bundle, **facts):
    path = bundle.root / "configs" / "metadata.json"
    content = read_json(path)
    content["monai_brain"].update(facts)
    write_json(path, content)


def test_one_line_a_check(bundle, capsys):
    assert main(["check", str(bundle.root), *FEW]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["passed", "passed", "not", "tiny:"]
    assert "it has no weights" in lines[2]
    assert lines[3] == "tiny: 0 of 3 checks failed."


def test_a_failure_is_status_4(bundle, capsys):
    edit(bundle, cam_layer="layer9")
    assert main(["check", str(bundle.root), "--only", "forward", "cam_layer_exists"]) == 4
    out = capsys.readouterr().out
    assert "failed            cam_layer_exists" in out
    assert "'layer9', which the network has not" in out


def test_an_expected_failure_is_status_0(bundle, capsys):
    edit(
        bundle, cam_layer="layer9", expected_failures={"cam_layer_exists": "the last layer is being rebuilt"}
    )
    assert main(["check", str(bundle.root), "--only", "cam_layer_exists"]) == 0
    assert "expected failure  cam_layer_exists" in capsys.readouterr().out


def test_json(bundle, capsys):
    assert main(["check", str(bundle.root), "--json", *FEW]) == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["schema_version"], content["model"]) == (1, "tiny")
    assert [check["state"] for check in content["checks"]] == ["passed", "passed", "not applicable"]


def test_names_are_known(bundle, capsys):
    assert main(["check", "brain_tumour_resnet34"]) == 2
    assert "Did you mean 'brain_tumor_resnet34'?" in capsys.readouterr().err
    assert main(["check", str(bundle.root), "--only", "forwards"]) == 2
    assert capsys.readouterr().err == "monai-brain: Unknown check 'forwards'. Did you mean 'forward'?\n"


def test_the_public_name_gives_the_same(bundle):
    assert [result.state for result in mb.check(bundle, ["forward"])] == ["passed"]

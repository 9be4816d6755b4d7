"""What may run: installed models, copies and runs that name nothing else, and what was trusted."""

import json
import subprocess
import sys

import pytest

import monai_brain as mb
from monai_brain.cli import main
from monai_brain.safety import code, trust


def test_installed_models_may_run_and_it_is_said_why():
    for name in mb.models():
        assert "pip-installed code counts as trusted" in trust.reason(mb.bundle(name))


def test_a_copy_may_run_until_it_names_other_code(tmp_path):
    copied = mb.bundle("brain_tumor_resnet34").copy(tmp_path / "mine_classification")
    assert "stands word for word in installed models" in trust.reason(copied)
    path = copied.root / "configs" / "train.json"
    content = json.loads(path.read_text("utf-8"))
    content |= {"batch_size": 3, "max_epochs": 1, "learning_rate": 0.5, "fold": "$None", "device": "cpu"}
    path.write_text(json.dumps(content), "utf-8")
    trust.admit(mb.Bundle.at(copied.root))
    content["network_def"]["_target_"] = "my_package.Net"
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(
        trust.TrustError, match=r"1 target, first 'my_package.Net' in configs/train.json network_def"
    ):
        trust.admit(mb.Bundle.at(copied.root))


def test_trust_is_of_the_code_alone_and_of_all_of_it(strange, tmp_path):
    strange.write("scripts/net.py", "a = 1\n").edit("inference", network_def={"_target_": "scripts.net.Net"})
    with trust.given():
        trust.admit(strange.bundle)
    trust.admit(strange.bundle)
    trust.admit(strange.bundle.copy(tmp_path / "elsewhere"))
    strange.edit("train", batch_size=7)
    trust.admit(strange.bundle)
    strange.write("scripts/net.py", "a = 2\n")
    with pytest.raises(trust.TrustError):
        trust.admit(strange.bundle)
    strange.write("scripts/net.py", "a = 1\n")
    trust.admit(strange.bundle)
    trust.forget(strange.bundle)
    with pytest.raises(trust.TrustError):
        trust.admit(strange.bundle)


def test_trust_is_recorded_for_other_processes(strange):
    strange.edit("inference", network="$@network_def")
    program = (
        "import sys; from monai_brain.safety import trust; from monai_brain.bundles import Bundle\n"
        "print(trust.reason(Bundle.at(sys.argv[1])))"
    )

    def said():
        words = [sys.executable, "-c", program, str(strange.root)]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    assert said() == "None"
    trust.record(strange.bundle)
    assert said().startswith("its code was trusted on 2")


@pytest.mark.parametrize("home", ["file", "damaged"])
def test_a_home_that_cannot_be_used_trusts_nothing_silently(strange, tmp_path, home):
    strange.edit("inference", network="$@network_def")
    if home == "file":
        (tmp_path / "home").write_text("x")
    else:
        (tmp_path / "home" / "trust").mkdir(parents=True)
        (tmp_path / "home" / "trust" / f"{code.digest(strange.root)}.json").write_text("{")
    assert trust.reason(strange.bundle) is None


COMMANDS = [
    ["check", "{}"],
    ["predict", "{}", "x.png"],
    ["explain", "{}", "x.png", "-o", "out"],
    ["export", "{}", "--format", "onnx", "-o", "x.onnx"],
    ["train", "{}", "--datalist", "{list}"],
    ["cross-validate", "{}", "--datalist", "{list}"],
    ["robustness", "{}", "--datalist", "{list}"],
]


@pytest.mark.slow  # imports torch
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_every_command_that_runs_a_model_asks_first(
    strange, brain_phantoms, tmp_path, monkeypatch, capsys, words
):
    strange.write("models/model.pt", b"no weights").edit("inference", network_def=f"${strange.payload}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.png").write_bytes(b"")
    status = main([word.format(strange.root, list=brain_phantoms) for word in words])
    told = capsys.readouterr().err
    assert (status, "names code that is not installed" in told) == (4, True), told
    assert told.count("\n") == 1
    assert not strange.canary.exists()


def test_reading_commands_ask_nothing_and_run_nothing(strange, tmp_path, capsys):
    strange.edit("inference", network_def=f"${strange.payload}")
    assert main(["info", str(strange.root)]) == 0
    assert main(["copy", str(strange.root), str(tmp_path / "copied")]) == 0
    assert main(["verify", str(strange.root)]) == 0
    assert "Nobody has trusted its code." in capsys.readouterr().out
    assert not strange.canary.exists()


@pytest.mark.slow  # imports torch
def test_a_command_s_trust_runs_it_and_is_recorded(strange, capsys):
    strange.edit("train", imports=[f"${strange.payload}"])
    assert main(["check", str(strange.root), "--only", "strict_json"]) == 4
    assert main(["check", str(strange.root), "--only", "strict_json", "--trust"]) == 0
    assert main(["check", str(strange.root), "--only", "strict_json"]) == 0
    assert main(["verify", str(strange.root), "--json"]) == 0
    account = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert account["trusted"].startswith("it was trusted in this process")
    assert account["digest"] == code.digest(strange.root)


def test_every_command_that_takes_a_model_takes_trust():
    from monai_brain.cli import parser

    _, commands = parser.build()
    reading = {"info", "copy", "verify", "remove"}
    for words, found in parser.leaves(commands.choices):
        options = {option for action in found._actions for option in action.option_strings}
        takes = any(action.dest in ("model", "models") for action in found._actions)
        assert ("--trust" in options) >= (takes and words[0] not in reading), words


def test_a_recipe_from_elsewhere_is_code_too(tmp_path):
    from monai_brain import recipe

    path = tmp_path / "mine.json"
    path.write_text('{"run": ["$print(1)"]}', "utf-8")
    with pytest.raises(trust.TrustError, match=r"mine\.json names code"):
        recipe.workflow(mb.bundle("brain_tumor_resnet34"), ["train", str(path)], {}, kind="train")
    with trust.given():
        trust.admit(mb.bundle("brain_tumor_resnet34"), [path])
    trust.admit(mb.bundle("brain_tumor_resnet34"), [path])


@pytest.mark.slow  # trains
def test_a_run_made_here_asks_nothing(run, monkeypatch):
    assert trust.reason(mb.Bundle.at(run)) is not None
    # nor where another machine made it, as long as the model is installed here
    assert trust.outside(mb.Bundle.at(run)) == []

"""What a user gets wrong at the command line: one line that says what to do, and a true exit status."""

import subprocess
import sys

import pytest

from monai_brain.cli import main
from monai_brain.data import datalist, phantoms, splits
from monai_brain.files import read_json, write_json
from monai_brain.testing.tiny import tiny_bundle

USAGE, DATA, MODEL, OUTPUT = 2, 3, 4, 5


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    written = phantoms.write("brain", folder, 40, size=32)
    return datalist.write(splits.split(datalist.read(written), "patient", folds=4), folder / "folds.json")


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tiny_bundle(tmp_path / "tiny").root


@pytest.fixture
def refused(capsys):
    """A function that runs a command which fails, and gives its status and its one line."""

    def run(*words, begun=False):
        capsys.readouterr()
        try:
            status = main([str(word) for word in words])
        except SystemExit as ended:  # argparse's own way
            status = ended.code
        lines = capsys.readouterr().err.splitlines()
        if begun:  # a training that had begun has said where
            assert " run: " in lines.pop(0)
        assert len(lines) == 1
        assert lines[0].startswith("monai-brain")
        assert "Traceback" not in lines[0]
        return status, lines[0]

    return run


def change(root, name, old, new):
    path = root / "configs" / f"{name}.json"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["info", "brain_tumor_resnet43"],
            "Unknown model 'brain_tumor_resnet43'. Did you mean 'brain_tumor_resnet34'?",
        ),
        (["info", "./nowhere"], "Unknown model './nowhere'. Known: "),
        (["trian"], "unknown command 'trian'. Did you mean 'train'?"),
        (["train", "brain_tumor_resnet34"], "the following arguments are required: --datalist"),
        (["train", "brain_tumor_resnet34", "--datalist", "x", "--fold", "one"], "invalid int value: 'one'"),
        (["train", "brain_tumor_resnet34", "--datalist", "x", "--set", "fold"], "--set takes key=value"),
        (
            ["data", "index", "foldres", "x", "-o", "y"],
            "Unknown kind of dataset 'foldres'. Did you mean 'folders'?",
        ),
        (["data", "phantom", "brains", "-o", "y"], "invalid choice: 'brains'"),
        (["predict", "brain_tumor_resnet34", "nowhere.png"], "nowhere.png"),
        (["export", "brain_tumor_resnet34", "--format", "onx", "-o", "y"], "Did you mean 'onnx'?"),
    ],
)
def test_names_and_options(words, sentence, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, line = refused(*words)
    assert (status, sentence in line) == (USAGE, True), line


def test_a_datalist_that_is_not_there(tiny, refused):
    status, line = refused("train", tiny, "--datalist", "nowhere.json", "--run-dir", "run")
    assert status == USAGE
    assert "nowhere.json does not exist. Make a datalist: monai-brain data index" in line


def test_a_fold_that_is_not_there(tiny, folds, refused):
    status, line = refused("train", tiny, "--datalist", folds, "--fold", 9, "--run-dir", "run", begun=True)
    assert status == USAGE
    assert "has no fold 9. It has: 0, 1, 2, 3." in line


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("max_epoch=3", "The recipe has no key 'max_epoch'. Did you mean 'max_epochs'?"),
        ("network_def#wdth=3", "Did you mean 'network_def#width'?"),
        ("max_epochs=abc", "max_epochs is 'abc', but takes a whole number, 1 or more."),
        ("max_epochs=1.5", "max_epochs is 1.5, but takes a whole number, 1 or more."),
        ("max_epochs=true", "max_epochs is True, but takes a whole number"),
        ("batch_size=0", "batch_size is 0, but takes a whole number, 1 or more."),
        ("num_workers=-1", "num_workers is -1, but takes a whole number, 0 or more."),
        ("image_size=[64, 64]", "image_size is [64, 64], but takes a whole number"),
        ("learning_rate=fast", "learning_rate is 'fast', but takes a number, such as 0.01."),
        ("learning_rate=NaN", "learning_rate is 'NaN', but takes a number"),
        ("network_def#width=wide", "network_def#width is 'wide', but takes a number"),
        ("amp=maybe", "amp is 'maybe', but takes auto, true, false, bf16 or fp16."),
        ("amp=1", "amp is 1, but takes auto, true, false, bf16 or fp16."),
        ("compile=fast", "compile is 'fast', but takes true, false, default, reduce-overhead,"),
        ("device_cache=gpu", "device_cache is 'gpu', but takes auto, true or false."),
        ("accumulate=0", "accumulate is 0, but takes a whole number, 1 or more."),
    ],
)
def test_settings(setting, sentence, tiny, folds, refused):
    status, line = refused("train", tiny, "--datalist", folds, "--run-dir", "run", "--set", setting)
    assert (status, sentence in line) == (USAGE, True), line
    assert not (tiny.parent / "run").exists()


def test_settings_that_are_right_are_taken(tiny, folds):
    words = ["train", tiny, "--datalist", folds, "--run-dir", "run"]
    for setting in (
        "max_epochs=1",
        "learning_rate=1",
        "flip_probability=0",
        "batch_size=$2 * 8",
        "amp=false",
    ):
        words += ["--set", setting]
    assert main([str(word) for word in words]) == 0
    config = read_json(tiny.parent / "run" / "configs" / "train.json")
    assert (config["learning_rate"], config["batch_size"]) == (1, "$2 * 8")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"seed": 0,', '"seed": 0,,', "train.json is no valid JSON: "),
        ('"seed": 0,', '"seed": 0, "seed": 1,', "holds the key 'seed' twice. Keep one."),
        ('"learning_rate": 0.01', '"learning_rate": NaN', "holds NaN, which is no JSON number."),
    ],
)
def test_a_recipe_that_is_no_json(old, new, sentence, tiny, folds, refused):
    change(tiny, "train", old, new)
    status, line = refused("train", tiny, "--datalist", folds, "--run-dir", "run")
    assert (status, sentence in line) == (USAGE, True), line


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            '"@optimizer"',
            '"@optimiser"',
            "does not hold together: the referring item `@optimiser` is not defined",
        ),
        ('"@learning_rate"', '"@optimizer#lr"', "does not hold together: detected circular references"),
        ("tiny.TinyClassifier", "tiny.TinyClasifier", "Cannot locate class or function path: "),
    ],
)
def test_a_recipe_that_does_not_hold_together(old, new, sentence, tiny, folds, refused):
    change(tiny, "train", old, new)
    words = ["train", tiny, "--datalist", folds, "--run-dir", "run", "--trust"]  # it names another class
    status, line = refused(*words, begun=True)
    assert (status, sentence in line) == (USAGE, True), line


def test_metadata_that_are_no_json(tiny, refused):
    change(tiny, "metadata", '"version"', '"version": "0", "version"')
    for words in (["info", tiny], ["predict", tiny, tiny]):
        status, line = refused(*words)
        assert (status, "metadata.json holds the key 'version' twice" in line) == (USAGE, True)


def test_a_key_that_inference_holds_twice(tiny, refused):
    bundle = tiny_bundle(tiny.parent / "other", weights=True)
    change(bundle.root, "inference", '"amp": "auto",', '"amp": "auto", "amp": true,')
    status, line = refused("predict", bundle.root, tiny / "docs")
    assert (status, "inference.json holds the key 'amp' twice" in line) == (USAGE, True), line


def test_a_byte_order_mark_does_no_harm(tiny, folds, capsys):
    bundle = tiny_bundle(tiny.parent / "marked", weights=True)
    for name in ("train", "inference", "metadata"):
        change(bundle.root, name, "{", "\ufeff{")
    trained = main(
        ["train", str(bundle.root), "--datalist", str(folds), "--run-dir", "run", "--set", "max_epochs=1"]
    )
    assert (trained, main(["info", str(bundle.root)])) == (0, 0)
    assert main(["predict", str(bundle.root), str(folds.parent / "images"), "-o", "out"]) == 0


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda text: text.replace('"folds": 4', '"folds": 4,,'), "not valid JSON"),
        (lambda text: text.replace('"folds": 4', '"folds": 4, "folds": 5'), "the key 'folds' stands twice"),
        (lambda text: text.replace('"folds": 4', '"folds": NaN'), "NaN is no number"),
        (lambda text: text[:500], "not valid JSON"),
        (lambda text: "[]", "a datalist is a JSON object"),
    ],
)
def test_a_datalist_that_is_not_whole(damage, sentence, tiny, folds, refused):
    broken = tiny.parent / "broken.json"
    broken.write_text(damage(folds.read_text("utf-8")), encoding="utf-8")
    status, line = refused("train", tiny, "--datalist", broken, "--run-dir", "run")
    assert (status, sentence in line) == (DATA, True), line


def test_a_model_without_weights(tiny, folds, refused):
    for words in (
        ["predict", tiny, folds.parent / "images", "-o", "out"],
        ["export", tiny, "--format", "state_dict", "-o", "model.pt"],
        ["train", tiny, "--datalist", folds, "--from", "shipped", "--run-dir", "run"],
    ):
        status, line = refused(*words, begun=words[0] == "train")
        assert status == MODEL
        assert "tiny has no weights" in line
        assert "monai-brain train tiny --datalist FILE" in line
    assert not (tiny.parent / "out").exists()


def test_places_that_cannot_be_written(tiny, folds, refused):
    words = ["train", tiny, "--datalist", folds, "--run-dir"]
    assert main([str(word) for word in (*words, "run", "--set", "max_epochs=1")]) == 0
    status, line = refused(*words, "run")
    assert (status, "holds a run already. Name another run_dir" in line) == (OUTPUT, True), line
    status, line = refused(*words, folds / "run")
    assert (status, "Cannot make" in line) == (OUTPUT, True), line
    status, line = refused("copy", tiny, folds.parent)
    assert (status, "exists and is not empty" in line) == (OUTPUT, True), line


def test_a_run_that_never_began_does_not_stand_in_the_way(tiny, folds, refused):
    words = ["train", tiny, "--datalist", folds, "--run-dir", "run", "--set", "max_epochs=1", "--fold"]
    refused(*words, 9, begun=True)
    assert main([str(word) for word in (*words, 1)]) == 0


def test_debug_gives_the_whole_story(tiny, capsys):
    write_json(tiny / "configs" / "metadata.json", [])
    assert main(["info", str(tiny), "--debug"]) == USAGE
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("monai-brain: ")


def test_the_status_reaches_the_shell():
    done = subprocess.run(
        [sys.executable, "-m", "monai_brain", "info", "nobody"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (USAGE, "", 1)

"""new-plugin writes a package that works, or says in one line why not and writes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib

import numpy as np
import pytest
import torch

from monai_brain.cli import main
from monai_brain.files import read_json, sha256
from monai_brain.new_plugin.configs import ORIGIN
from monai_brain.new_plugin.package import new_plugin
from monai_brain.safety import trust
from monai_brain.testing.checks import conformance

TWO = {"classes": ("stones", "none"), "size": 64}
# What needs neither a training nor an export nor a process of its own.
QUICK = (
    *("strict_json", "scope", "metadata_complete", "zoo_rules", "recipe_keys", "metadata_true_to_network"),
    *(
        "recipes_agree",
        "forward",
        "finite_gradients",
        "one_and_three_channels",
        "cam_layer_exists",
        "weights",
    ),
)


def refused(capsys, *words: str) -> str:
    """The one line that the command says, after it has written nothing."""
    assert main(["new-plugin", "stones", *map(str, words)]) in (2, 4, 5)
    told = capsys.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    return line


@pytest.fixture
def here(stones, monkeypatch):
    monkeypatch.chdir(stones.path.parent)
    yield stones
    assert "stones" not in sys.modules
    assert not [place for place in sys.path if place.startswith(str(stones.path.parent))]


def left(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_weights_and_a_reference(here, monkeypatch, tmp_path):
    kept = {f"module.model.{name}": value for name, value in here.state.items()}
    weights = here.saved({"epoch": 3, "state_dict": kept})
    made = new_plugin("stones", network=here.named(), weights=weights, reference_file=here.reference(), **TWO)
    assert made.difference == 0
    assert made.weights_sha256 == sha256(made.bundle.root / "models" / "model.pt")
    assert made.bundle.weights_sha256 == made.weights_sha256
    flat = torch.load(made.bundle.root / "models" / "model.pt", weights_only=True)
    assert {name: value.tolist() for name, value in flat.items()} == {
        name: value.tolist() for name, value in here.state.items()
    }
    assert made.bundle.facts["parameters"] == 8 * 9 + 2 * 8 + 8 * 2 + 2
    # A multiply-add is two: 32 x 32 places, 8 kernels of 9, and 8 x 2 of the head.
    assert made.bundle.facts["flops"] == 2 * (32 * 32 * 8 * 9 + 8 * 2)
    assert made.bundle.facts["cam_layer"] == "features"
    monkeypatch.syspath_prepend(str(made.folder / "src"))
    with trust.admitted(made.bundle):  # it is not installed, but for the path
        found = conformance(made.bundle, QUICK)
    assert {result.name: result.reason for result in found if result.state != "passed"} == {}
    with np.load(made.folder / "tests" / "reference.npz") as arrays:
        assert np.array_equal(arrays["output"], here.logits.numpy())
    for name in [name for name in sys.modules if name.partition(".")[0] == "stones"]:
        del sys.modules[name]


def test_what_is_written(here, tmp_path):
    made = new_plugin("kidney_stones", tmp_path / "a folder", mean=(0.4,), std=(0.2,), channels=3, **TWO)
    project = tomllib.loads((made.folder / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["name"] == "kidney-stones"
    assert project["project"]["entry-points"] == {"monai_brain": {"kidney_stones": "kidney_stones"}}
    assert {"LICENSE", "README.md", ".gitignore", ".github"} <= set(left(made.folder))
    assert left(made.folder / "tests") == ["test_kidney_stones.py"]
    for path in made.folder.rglob("*"):
        if path.is_file() and path.suffix != ".png":
            text = path.read_text(encoding="utf-8")
            assert not {"my_model", "my-model", "MyModel", "the_classes", "timm_architecture"} & set(
                text.split()
            )
            assert "my_model" not in text
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", str(made.folder)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    formatted = [sys.executable, "-m", "ruff", "format", "--no-cache", "--check", str(made.folder)]
    assert subprocess.run(formatted, capture_output=True).returncode == 0


def test_fixed_scaling_is_what_it_says(here, monkeypatch):
    made = new_plugin("stones", mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.5), channels=3, **TWO)
    from PIL import Image

    from monai_brain import recipe

    values = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) % 256
    Image.fromarray(values.astype(np.uint8)).save("grey.png")
    with trust.admitted(made.bundle):
        prepared = recipe.parsed(made.bundle, "inference").get_parsed_content("preprocessing")
    image = np.asarray(prepared({"image": "grey.png"})["image"])
    for channel, (mean, deviation) in enumerate(zip((0.5, 0.4, 0.3), (0.2, 0.25, 0.5), strict=True)):
        np.testing.assert_allclose(image[channel], (values / 255 - mean) / deviation, atol=1e-5)
    train = read_json(made.bundle.config("train"))
    assert (train["mean"], train["std"]) == ([0.5, 0.4, 0.3], [0.2, 0.25, 0.5])
    for name, key in (("train", "train"), ("recipe_strong", "train#augmentation")):
        steps = read_json(made.bundle.config(name))[key]
        steps = steps["augmentation"] if isinstance(steps, dict) else steps
        at = steps.index("@standardize#0")
        assert steps[at + 1] == "@standardize#1"


def test_recipes_differ_from_the_project_s_by_what_was_asked(here):
    """There is no further copy of the recipe: all that is not asked for is the project's own."""
    from monai_brain.bundles import Bundle

    made, origin = new_plugin("stones", network=here.named(), **TWO).bundle, Bundle.in_package(*ORIGIN)
    changed = {"image_size", "in_channels", "network_def", "architecture", "pretrained"}
    for path in (origin.root / "configs").glob("*.json"):
        if path.name != "metadata.json":
            wanted, found = read_json(path), read_json(made.root / "configs" / path.name)
            assert {key: value for key, value in wanted.items() if key not in changed} == {
                key: value for key, value in found.items() if key not in changed
            }
            assert [key for key in wanted if key in found] == list(found)


def test_timm(here):
    pytest.importorskip("timm")
    made = new_plugin("stones", network="timm:resnet10t", **TWO)
    assert made.bundle.facts["imagenet"] is True
    assert made.bundle.facts["cam_layer"] == "layer4"
    assert '"timm>=1.0"' in (made.folder / "pyproject.toml").read_text(encoding="utf-8")
    train, inference = (read_json(made.bundle.config(name)) for name in ("train", "inference"))
    assert (train["pretrained"], inference["pretrained"]) == ("$@start_weights == 'imagenet'", False)
    assert train["network_def"]["pretrained"] == "@pretrained"


def test_the_command(here, capsys):
    words = ["new-plugin", "stones", "there", "--network", here.named(), "--classes", "stones,none"]
    assert main([*words, "--size", "64", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model"], told["path"], told["cam_layer"]) == ("stones", "there", "features")
    assert told["weights_sha256"] is None
    assert main(words) == 5
    assert "there exists and is not empty" in capsys.readouterr().err


NETWORKS = {
    "NoChannels": "takes no 'in_channels'. Give its __init__ that argument.",
    "Greedy": "asks for 'depth', which no recipe fills. Give it a default value in the file.",
    "OneMore": "the network gives (2, 3), expected (2, 2): one logit for each of stones, none.",
    "Pair": "The network gives tuple. Let forward return the logits (B, classes) alone.",
    "Flat": "no layer of the network gives maps (B, C, h, w)",
    "Stops": "The network does not take images 1 x 64 x 64: RuntimeError: not today.",
    "Stonse": "Unknown class in my_network.py 'Stonse'. Did you mean 'Stones'?",
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_that_are_none(here, capsys, name):
    before = left(here.path.parent)
    line = refused(capsys, "--network", here.named(name), "--classes", "stones,none", "--size", "64")
    assert NETWORKS[name] in line
    assert left(here.path.parent) == before


def test_words_that_cannot_be(here, capsys):
    before = left(here.path.parent)
    for words, says in (
        (("--classes", "stones"), "Expected two or more different names."),
        (("--classes", "a,b,a"), "Expected two or more different names."),
        (("--size", "8"), "--size is 8. Expected 32 to 2048 pixels."),
        (("--channels", "4"), "--channels is 4. Expected 1 or 3"),
        (("--mean", "0.5"), "--mean and --std go together."),
        (("--mean", "0.5", "0.4", "--std", "0.1", "0.1"), "--mean has 2 numbers"),
        (("--mean", "127", "--std", "60"), "those of images on 0..1"),
        (("--network", "resnet18"), "Expected timm:NAME, or PATH.py:Class"),
        (("--network", "gone.py:Stones"), "gone.py cannot be read as UTF-8 text"),
        (("--network", "timm:resnet1O1"), "Unknown timm network 'resnet1O1'. Did you mean 'resnet101'?"),
        (("--reference", "r.npz"), "--reference needs --weights"),
        (("--network", here.named(), "--weights", "gone.pth", "--size", "64"), "There is no file gone.pth."),
    ):
        assert says in refused(capsys, *words)
    assert left(here.path.parent) == before


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Kidney-Stones", "Try 'kidney_stones'."),
        ("stones_classification", "Try 'stones'."),
        ("3d", "Expected small letters"),
        ("class", "Expected small letters"),
        ("monai_stones", "MONAI searches every package"),
        ("json", "A Python module named 'json' is installed already."),
        ("baseline", "A model named 'baseline' is installed already."),
    ],
)
def test_names_that_cannot_be(here, capsys, name, says):
    assert main(["new-plugin", name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert left(here.path.parent) == ["my_network.py"]


def test_a_file_that_needs_its_neighbours(here, capsys):
    here.path.write_text("from .blocks import Block\n\n\nclass Stones:\n    pass\n", encoding="utf-8")
    assert "imports the modules beside it (line 1)" in refused(capsys, "--network", here.named())
    here.path.write_text("import not_there_at_all\n\n\nclass Stones:\n    pass\n", encoding="utf-8")
    assert "imports 'not_there_at_all', which is not installed" in refused(capsys, "--network", here.named())
    here.path.write_text("class Stones(:\n", encoding="utf-8")
    assert "is no Python" in refused(capsys, "--network", here.named())
    here.path.write_text("raise OSError('no\\nkey')\n\n\nclass Stones:\n    pass\n", encoding="utf-8")
    assert "cannot be imported: OSError: no key" in refused(capsys, "--network", here.named())

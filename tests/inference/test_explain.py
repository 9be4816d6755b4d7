"""Explanations end to end: the right class, the right place in the image as it was read."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import monai_brain as mb
from monai_brain.cli import main
from monai_brain.errors import ConfigurationError, DataError, ModelError, UnknownNameError
from monai_brain.inference.explain import explain
from monai_brain.inference.maps import ActivationMaps
from monai_brain.inference.overlays import write
from monai_brain.transforms.brain_crop import brain_box

pytest.importorskip("pytorch_grad_cam")

# Its map at layer "1" is the brightness of the image, so that where it belongs is known.
BRIGHTNESS = (
    "$torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), "
    "torch.nn.Flatten(), torch.nn.Linear(1, 4))"
)
CROP = {"_target_": "monai_brain.transforms.brain_crop.BrainCropd", "keys": "image", "margin": 6}
CORNER = {
    "_target_": "monai.transforms.Lambdad",
    "keys": "image",
    "func": "$lambda image: image[:, :64, :64]",
}


def rewrite(bundle, file, change):
    path = bundle.root / "configs" / file
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def trained(tiny, tiny_network):
    """The tiny bundle with weights."""
    (tiny.root / "models").mkdir(exist_ok=True)
    torch.save(tiny_network.state_dict(), tiny.root / "models" / "model.pt")
    return tiny


@pytest.fixture
def bright(tiny):
    """A bundle that cuts to the brain and whose maps are bright where the image is."""
    rewrite(tiny, "inference.json", lambda recipe: recipe.update(network_def=BRIGHTNESS))
    rewrite(tiny, "inference.json", lambda recipe: recipe["preprocessing"]["transforms"].insert(3, CROP))
    rewrite(tiny, "metadata.json", lambda metadata: metadata["monai_brain"].update(cam_layer="1"))
    weights = {
        "0.weight": torch.ones(1, 1, 1, 1),
        "0.bias": torch.zeros(1),
        "4.weight": torch.tensor([[1.0], [-1.0], [2.0], [0.5]]),
        "4.bias": torch.zeros(4),
    }
    (tiny.root / "models").mkdir(exist_ok=True)
    torch.save(weights, tiny.root / "models" / "model.pt")
    return mb.Bundle.at(tiny.root)


def head(folder, name="head.png", height=150, width=220, spot=(70, 160)):
    """A grey disc off the centre with one bright spot in it."""
    rows, columns = np.mgrid[:height, :width]
    image = np.where(np.hypot(rows - 80, columns - 140) < 55, 90, 0)
    image[np.hypot(rows - spot[0], columns - spot[1]) < 7] = 255
    folder.mkdir(exist_ok=True)
    Image.fromarray(image.astype(np.uint8)).save(folder / name)
    return image.astype(np.uint8)


@pytest.mark.parametrize("spot", [(70, 160), (40, 120), (110, 170)])
def test_the_map_of_a_cropped_image_lies_where_the_evidence_is(spot, bright, tmp_path):
    image = head(tmp_path / "in", spot=spot)
    (found,) = explain(bright, tmp_path / "in", target="pituitary")
    assert (found.case, found.class_name, found.layer, found.method) == (
        "head.png",
        "pituitary",
        "1",
        "gradcam",
    )
    assert np.array_equal(found.image, image)
    assert found.heat.shape == image.shape
    assert found.heat.dtype == np.float32
    peak = np.unravel_index(found.heat.argmax(), found.heat.shape)
    assert np.hypot(peak[0] - spot[0], peak[1] - spot[1]) < 8
    top, bottom, left, right = brain_box(image, margin=6)
    assert (bottom - top, right - left) < image.shape
    outside = np.ones(image.shape, bool)
    outside[top:bottom, left:right] = False
    assert not found.heat[outside].any()
    cut = cv2.resize(image[top:bottom, left:right].astype(np.float32), (64, 64), interpolation=cv2.INTER_AREA)
    x = torch.from_numpy((cut - cut.mean()) / cut.std()).relu()
    wanted = cv2.resize((x / x.max()).numpy(), (right - left, bottom - top))
    assert np.abs(found.heat[top:bottom, left:right] - wanted).max() < 1e-4


def test_images_of_any_size_come_back_in_their_own(trained, tmp_path):
    sizes = {"a.png": (40, 90), "b.png": (150, 220), "c.png": (64, 64)}
    for name, (height, width) in sizes.items():
        head(tmp_path / "in", name, height, width, (20, 30))
    for found in explain(trained, tmp_path / "in"):
        assert found.heat.shape == found.image.shape == sizes[found.case]
        assert 0 <= found.heat.min() <= found.heat.max() <= 1


def test_what_is_said_is_what_predict_says(trained, tmp_path):
    for index in range(5):
        head(tmp_path / "in", f"{index}.png", spot=(60 + 8 * index, 150))
    answers = mb.predict(trained, tmp_path / "in").predictions
    found = list(explain(trained, tmp_path / "in"))
    assert [one.case for one in found] == answers.case.tolist()
    for one, row in zip(found, answers, strict=True):
        assert one.prediction.predicted == row.predicted == one.class_name
        assert one.prediction.probs == pytest.approx(row.probs, abs=1e-5)
        assert one.prediction.weights_sha256 == row.weights_sha256


def test_the_named_class_is_the_one_that_is_explained(trained, tiny_network, tmp_path):
    image = head(tmp_path / "in", height=64, width=64, spot=(30, 40)).astype(np.float32)
    x = torch.from_numpy((image - image.mean()) / image.std())[None, None]
    maps = ActivationMaps(tiny_network, "layer3")
    for index, name in enumerate(trained.labels):
        (found,) = explain(trained, tmp_path / "in", target=name, layer="layer3")
        assert found.class_name == name
        assert np.abs(found.heat - maps(x, [index])[0]).max() < 1e-4
    assert np.abs(maps(x, [0]) - maps(x, [1])).max() > 0.1


def test_a_caller_in_inference_mode_gets_the_same(trained, tmp_path):
    head(tmp_path / "in")
    (wanted,) = explain(trained, tmp_path / "in")
    with torch.inference_mode():
        (found,) = explain(trained, tmp_path / "in")
    assert np.array_equal(found.heat, wanted.heat)
    assert wanted.heat.max() > 0.5


def test_an_unreadable_input_is_named_and_the_others_are_explained(trained, tmp_path, capsys):
    for index in (0, 2, 3):
        head(tmp_path / "in", f"{index}.png")
    (tmp_path / "in" / "1.png").write_bytes(b"no image")
    failures = []
    found = list(explain(trained, tmp_path / "in", failures=failures))
    assert [one.case for one in found] == ["0.png", "2.png", "3.png"]
    assert [(one.case, "text" in one.reason) for one in failures] == [("1.png", True)]
    with pytest.raises(DataError, match=r"^1\.png: "):
        list(explain(trained, tmp_path / "in"))
    assert main(["explain", str(trained.root), str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 3
    said = capsys.readouterr()
    assert said.err.splitlines()[-1].startswith("1.png: ")
    assert "3 explained, 1 failed" in said.out
    assert "Research use only, not for diagnosis." in said.out


def test_what_does_not_exist_is_refused_at_once(trained, tmp_path):
    head(tmp_path / "in")
    with pytest.raises(UnknownNameError, match=r"Unknown class of tiny 'glioam'\. Did you mean 'glioma'"):
        explain(trained, tmp_path / "in", target="glioam")
    with pytest.raises(UnknownNameError, match="Unknown layer"):
        explain(trained, tmp_path / "in", layer="layer9")
    with pytest.raises(UnknownNameError, match="Unknown method"):
        explain(trained, tmp_path / "in", method="magic")
    with pytest.raises(ConfigurationError, match="do not exist"):
        explain(trained, tmp_path / "nowhere")
    rewrite(trained, "metadata.json", lambda metadata: metadata["monai_brain"].pop("cam_layer"))
    with pytest.raises(ConfigurationError, match="names no layer to explain by"):
        explain(mb.Bundle.at(trained.root), tmp_path / "in")
    (trained.root / "models" / "model.pt").unlink()
    with pytest.raises(ModelError, match="has no weights"):
        explain(mb.Bundle.at(trained.root), tmp_path / "in")


def test_preprocessing_that_cannot_be_undone_is_refused(trained, tmp_path):
    head(tmp_path / "in")
    rewrite(
        trained, "inference.json", lambda recipe: recipe["preprocessing"]["transforms"].__setitem__(3, CORNER)
    )
    with pytest.raises(ModelError, match="spatial transforms must all be invertible"):
        list(explain(trained, tmp_path / "in"))


def pixels(path):
    return np.asarray(Image.open(path))


def test_pictures_carry_the_image_the_map_and_the_disclaimer(bright, tmp_path):
    image = head(tmp_path / "in", height=150, width=400)
    (found,) = explain(bright, tmp_path / "in", target="glioma")
    (line,) = write([found], bright, tmp_path / "out")
    overlay, figure = pixels(tmp_path / "out" / line["overlay"]), pixels(tmp_path / "out" / line["figure"])
    assert overlay.shape[1:] == (400, 3)
    assert overlay.shape[0] > 150
    cold = found.heat == 0
    assert cold.any()
    grey = np.repeat(image[..., None], 3, axis=2)
    assert np.array_equal(overlay[:150][cold], grey[cold])
    row, column = line["peak"]["row"], line["peak"]["column"]
    assert overlay[row, column, 0] > overlay[row, column, 2] + 50  # red where the evidence is
    assert overlay[150:].max() > 200  # the disclaimer's letters
    assert np.array_equal(figure[:150, :400], grey)
    assert np.array_equal(figure[:150, -400:], overlay[:150])
    rewrite(
        bright, "metadata.json", lambda metadata: metadata["monai_brain"].update(disclaimer="Only a toy.")
    )
    (again,) = write([found], mb.Bundle.at(bright.root), tmp_path / "again")
    other = pixels(tmp_path / "again" / again["overlay"])
    assert np.array_equal(other[:150], overlay[:150])
    assert not np.array_equal(other[150:], overlay[150:])
    assert again["disclaimer"] == "Only a toy."


def test_names_of_files_never_leave_the_folder_and_never_meet(bright, tmp_path):
    from dataclasses import replace

    head(tmp_path / "in")
    (one,) = explain(bright, tmp_path / "in")
    cases = [
        "../../up.png",
        "/etc/x.png",
        "a/b.png",
        "a_b.png",
        "A_B.png",
        "…",
        "ü.png",
        "x" * 300,
        "x" * 301,
        "\n",
    ]
    lines = write([replace(one, case=case) for case in cases], bright, tmp_path / "out")
    assert [line["case"] for line in lines] == cases
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*"))
    named = [line[kind] for line in lines for kind in ("overlay", "figure")]
    assert written == sorted(["explanations.jsonl", "three_rows.png", *named])
    assert len({name.casefold() for name in named}) == 2 * len(cases)
    kept = [
        json.loads(text) for text in (tmp_path / "out" / "explanations.jsonl").read_text("utf-8").splitlines()
    ]
    assert kept == lines


def test_the_commands_write_the_maps(trained, tmp_path, capsys):
    head(tmp_path / "in")
    words = [str(trained.root), str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    assert (
        main(["explain", *words, "--method", "layercam", "--class", "glioma", "--layer", "layer3", "--json"])
        == 0
    )
    (line,) = json.loads(capsys.readouterr().out)
    assert (line["explained"], line["method"], line["layer"]) == ("glioma", "layercam", "layer3")
    assert (tmp_path / "out" / line["figure"]).is_file()
    assert main(["predict", *words, "--explain"]) == 0
    (line,) = (tmp_path / "out" / "explanations" / "explanations.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["method"] == "gradcam"
    assert (tmp_path / "out" / "predictions.csv").is_file()

"""Landmarks are learned from what trains in the fold, and no other image is opened for them."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_brain.cli import main
from monai_brain.data import datalist
from monai_brain.errors import ConfigurationError
from monai_brain.files import sha256
from monai_brain.training.landmarks import learn_landmarks
from monai_brain.transforms.landmarks import LandmarkHistogram, learned


def test_only_training_images_count(brain_phantoms, tmp_path):
    found = learn_landmarks(brain_phantoms, tmp_path / "a.json", 1)
    train = datalist.part(brain_phantoms, 1, "train")
    assert found["images"] == len(train)
    by_hand = learned([np.asarray(Image.open(item["image"]).convert("L"))[None] for item in train])
    assert found["landmarks"] == by_hand["landmarks"]
    assert (found["fold"], found["datalist_sha256"]) == (1, sha256(brain_phantoms))
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == found


def test_images_held_out_may_be_anything(brain_phantoms, tmp_path):
    content = datalist.read(brain_phantoms)
    held_out = {item["image"] for side in ("validation", "test") for item in datalist.part(content, 0, side)}
    for number, item in enumerate(content["training"]):
        if item["image"] in held_out:
            item["image"] = str(tmp_path / f"{number}.png")
            Path(item["image"]).write_bytes(b"no image at all")
    changed = datalist.write(content, tmp_path / "list.json")
    expected = learn_landmarks(brain_phantoms, tmp_path / "a.json")["landmarks"]
    assert learn_landmarks(changed, tmp_path / "b.json")["landmarks"] == expected


def test_the_command_and_the_transform(brain_phantoms, tmp_path):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert (
            main(["data", "landmarks", str(brain_phantoms), "--fold", "2", "-o", str(tmp_path / "l.json")])
            == 0
        )
    assert out.getvalue().startswith("landmarks of ")
    image = np.asarray(Image.open(datalist.part(brain_phantoms, 2, "test")[0]["image"]).convert("L"))[None]
    result = LandmarkHistogram(tmp_path / "l.json")(image)
    assert (result.min(), result.max()) == (0, 255)


def test_a_fold_that_is_not_there(brain_phantoms, tmp_path):
    with pytest.raises(ConfigurationError, match="no fold 9"):
        learn_landmarks(brain_phantoms, tmp_path / "a.json", 9)
    assert not (tmp_path / "a.json").exists()

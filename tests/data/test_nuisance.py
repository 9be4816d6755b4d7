"""The control sees what gives a class away, and nothing where there is nothing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from monai_brain.data import nuisance
from monai_brain.errors import ConfigurationError


def write(folder, images, classes):
    items = []
    for number, (image, name) in enumerate(zip(images, classes, strict=True)):
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), image)
        items.append({"image": str(path), "class_name": name, "fold": 0 if number % 4 == 0 else None})
    return {"schema_version": 1, "labels": sorted(set(classes)), "training": items}


def clouds(count, size=48, seed=0):
    draw = np.random.default_rng(seed)
    for _ in range(count):
        image = cv2.resize(draw.normal(0, 1, (8, 8)), (size, size), interpolation=cv2.INTER_CUBIC)
        image = 120 + 40 * image + draw.normal(0, draw.uniform(2, 8), image.shape)
        image = np.clip(image, 1, 255).astype(np.uint8)
        image[:, : int(draw.integers(4, 14))] = 0
        yield image


CLASSES = ["a", "b", "b", "a"] * 20 + ["b", "a", "a", "b"] * 20


def test_equal_classes_are_not_told_apart(tmp_path):
    found = nuisance.control(write(tmp_path, clouds(160), CLASSES))
    assert found["accuracy"] <= 0.70  # 40 images: 0.5 and two and a half standard errors
    assert (found["train"], found["test"]) == (120, 40)
    assert found["features"] == list(nuisance.NUISANCES)


@pytest.mark.parametrize("what", ["zero_share", "fine_structure", "file_bytes", "width"])
def test_a_shortcut_is_found(tmp_path, what):
    images = list(clouds(160))
    for number, name in enumerate(CLASSES):
        if name == "b":
            if what == "zero_share":
                images[number][:, -16:] = 0
            elif what == "width":
                images[number] = np.ascontiguousarray(images[number][:, :-3])
            else:
                body = images[number]
                images[number] = np.where(body > 0, cv2.blur(body, (3, 3)), 0).astype(np.uint8)
    features = {what: nuisance.NUISANCES[what]}
    found = nuisance.control(write(tmp_path, images, CLASSES), features=features)
    assert found["accuracy"] > (0.7 if what == "file_bytes" else 0.85)
    assert len(found["weights"]) == 1


def test_each_feature_says_what_it_is_named_after(tmp_path):
    image = np.zeros((40, 30), np.uint8)
    image[10:, 10:] = 100
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), image)
    row = dict(zip(nuisance.NUISANCES, nuisance.table([{"image": str(path)}])[0], strict=True))
    assert row["height"] == 40
    assert row["width"] == 30
    assert row["bit_depth"] == 8
    assert row["zero_share"] == 0.5
    assert row["file_bytes"] == pytest.approx(np.log(path.stat().st_size))
    noise = np.random.default_rng(0).normal(0, 12, image.shape)
    rough = np.where(image > 0, np.clip(image + noise, 1, 255), 0).astype(np.uint8)
    assert nuisance.fine_structure(path, rough) > nuisance.fine_structure(path, image) + 1
    doubled = np.clip(rough.astype(int) * 2, 0, 255).astype(np.uint8)
    assert nuisance.fine_structure(path, doubled) == pytest.approx(
        nuisance.fine_structure(path, rough), abs=0.1
    )


def test_a_part_without_a_class_is_refused(tmp_path):
    content = write(tmp_path, clouds(8), ["a", "b", "b", "b"] * 2)
    with pytest.raises(ConfigurationError, match="training part of fold 0 shows no a"):
        nuisance.control(content)

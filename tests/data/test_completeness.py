"""One image: whole outlines are whole, cut ones cut, and both show equally much."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from monai_brain.data import breast, cuts
from monai_brain.data.completeness import Variant, make


def ellipse(reaches_top=False):
    y, x = np.mgrid[0:400, 0:400]
    middle, half = (120, 200) if reaches_top else (200, 150)
    inside = (((x - 30) / 130) ** 2 + ((y - middle) / half) ** 2 < 1) & (x >= 30)
    grey = np.where(inside, 120 + 60 * np.sin(x / 9) * np.sin(y / 7), 0)
    return breast.find(np.rint(grey).astype(np.uint8))


BODY, OBLIQUE = ellipse(), ellipse(reaches_top=True)
KINDS = list(cuts.CUTS)


def chest_left(made):
    return made.image[:, ::-1] if made.chest_wall == "right" else made.image


def images(body, class_name, count, size=128, loss=0.1):
    return [
        make(
            body,
            Variant(class_name, KINDS[i % len(KINDS)], loss),
            size,
            np.random.default_rng(i + 100 * len(class_name)),
        )
        for i in range(count)
    ]


@pytest.mark.parametrize("body", [BODY, OBLIQUE], ids=["whole", "oblique"])
def test_a_complete_outline_is_whole(body):
    for made in images(body, "complete", 12):
        image = chest_left(made)
        assert image.shape == (128, 128)
        assert image.dtype == np.uint8
        assert made.loss == 0
        assert abs(made.turn) <= 10
        lit = image > 0
        assert not lit[:, -2:].any(), "nothing reaches the side opposite the chest wall"
        assert not lit[-2:].any(), "nor the bottom"
        assert body.reaches_top or not lit[:2].any()


def test_the_visible_area_of_a_complete_image_is_the_breast_s():
    """The scale follows from the heights: the area then has to be that of half an ellipse."""
    for made in images(BODY, "complete", 10, size=256):
        outline = cv2.findContours(
            (made.image > 20).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )[0]
        largest = max(outline, key=cv2.contourArea)
        (_, _), (a, b), _ = cv2.minAreaRect(largest)
        assert cv2.contourArea(largest) / (a * b) == pytest.approx(np.pi / 4, abs=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_an_incomplete_image_lacks_its_share(kind):
    for seed in range(4):
        variant = Variant("incomplete", kind, 0.25)
        made = make(BODY, variant, 256, np.random.default_rng(seed))
        assert made.loss == pytest.approx(0.25, abs=0.008)
        outline = cv2.findContours(
            (made.image > 20).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )[0]
        hull = cv2.convexHull(max(outline, key=cv2.contourArea))
        _, (a, b), _ = cv2.minAreaRect(hull)
        # Half an ellipse fills pi / 4 of the rectangle around it; what is left of one does not.
        assert abs(cv2.contourArea(hull) / (a * b) - np.pi / 4) > 0.01


def test_both_classes_show_equally_much():
    shares = {
        name: np.mean([(made.image > 0).mean() for made in images(OBLIQUE, name, 48, 64, 0.3)])
        for name in ("complete", "incomplete")
    }
    assert shares["complete"] == pytest.approx(shares["incomplete"], rel=0.08)


def test_one_generator_one_image():
    first, again, other = (
        make(BODY, Variant("incomplete", "nipple", 0.1), 64, np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.image, again.image)
    assert not np.array_equal(first.image, other.image)


def test_both_sides_are_seen():
    assert {made.chest_wall for made in images(BODY, "complete", 12, 64)} == {"left", "right"}

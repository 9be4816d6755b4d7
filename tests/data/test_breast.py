"""The breast found on films with labels, tape, frames and noise, whichever way it faces."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from monai_brain.data import breast, phantoms
from monai_brain.data.formats import read_slice
from monai_brain.errors import DataError


def film(bottom=0.9, ground=0.0, seed=0, height=600, width=500):
    """An oblique view with its chest wall on the left, and the true place of the breast."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    y, x = y / height, x / width
    lower = np.sqrt(np.clip(1 - ((y - 0.55) / (bottom - 0.55)) ** 2, 0, 1))
    upper = 0.55 + 0.45 * np.clip((y - 0.0) / 0.55, 0, 1) ** 1.5
    edge = 0.1 + 0.5 * np.where(y > 0.55, lower, upper)
    truth = (x > 0.1) & (x < edge) & (y < bottom)
    values = np.where(truth, 60 + 120 * np.clip((edge - x) / 0.1, 0, 1), 0)
    values = cv2.GaussianBlur(values, (0, 0), 2)
    values[:, : int(0.1 * width)] = 0
    values += np.abs(draw.normal(0, ground + 0.01, values.shape))
    return values, truth


def spoiled(values):
    """With a paper label, tape along the top, a thin line and a scanner's frame."""
    values = values.copy()
    height, width = values.shape
    values[40:120, 380:450] = 240
    values[0:9, 60:440] = 230
    values[:, 45:48] = 200
    values[:, width - 12 :] = 255
    values[height - 9 :, 300:] = 255
    return values


def overlap(found, truth):
    size = (found.mask.shape[1], found.mask.shape[0])
    truth = cv2.resize(truth.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return (truth & (found.mask > 0)).sum() / (truth | (found.mask > 0)).sum()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("ground", [0, 4])
@pytest.mark.parametrize("dirty", [False, True])
def test_the_breast_is_found(mirrored, ground, dirty):
    values, truth = film(ground=ground)
    values = spoiled(values) if dirty else values
    image = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    found = breast.find(np.ascontiguousarray(image[:, ::-1]) if mirrored else image)
    assert found.mirrored is mirrored
    assert overlap(found, truth) > 0.95
    assert found.reaches_top
    assert found.cut == ""


def test_labels_and_frames_are_gone_and_the_breast_is_as_it_was():
    values, truth = film()
    image = np.clip(np.rint(spoiled(values)), 0, 255).astype(np.uint8)
    found = breast.find(image)
    away = cv2.dilate(truth.astype(np.uint8), np.ones((61, 61), np.uint8)) == 0
    assert found.grey[away].max() == 0
    inner = cv2.erode(truth.astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
    np.testing.assert_allclose(found.grey[inner], image[inner])


def test_16_bits_are_stretched():
    values, truth = film()
    found = breast.find(np.rint(values * 16 + 100).astype(np.uint16))
    assert overlap(found, truth) > 0.95
    assert found.grey.max() == pytest.approx(255, abs=1)


@pytest.mark.parametrize(("bottom", "cut"), [(0.9, False), (0.97, False), (1.15, True), (1.3, True)])
def test_a_film_that_ends_within_the_breast_is_known(bottom, cut):
    found = breast.find(np.clip(film(bottom)[0], 0, 255).astype(np.uint8))
    assert bool(found.cut) is cut
    assert "bottom" in found.cut or not cut


def test_a_breast_that_reaches_the_other_side_is_cut():
    image = film()[0][:, :250].astype(np.uint8)
    assert "opposite the chest wall" in breast.find(image).cut


def test_belly_below_the_breast_is_no_part_of_it():
    values, _ = film(bottom=0.8)
    values[:, 50:80] = 150
    found = breast.find(values.astype(np.uint8))
    assert found.mask[-1].any()
    assert not found.proper[-20:].any()
    assert found.proper.sum() > 0.9 * found.mask.sum()


@pytest.mark.parametrize("image", [np.zeros((64, 64)), np.full((64, 64), 200), np.eye(64) * 250])
def test_what_is_no_mammogram_is_refused(image):
    with pytest.raises(DataError, match="no breast found"):
        breast.find(image.astype(np.uint8))


def test_phantoms_are_found_and_cut_ones_known():
    made = phantoms.mammogram(40, 3, 96)
    cut = [bool(breast.find(p.image).cut) for p in made if p.class_name == "incomplete"]
    whole = [bool(breast.find(p.image).cut) for p in made if p.class_name == "complete"]
    # Some phantoms are upside down: cut at the top, as every oblique view is.
    assert np.mean(cut) > np.mean(whole)
    assert np.mean(whole) < 0.4


@pytest.mark.real_data
def test_on_mini_mias(real_images):
    """Films with tape, labels, frames, a lit ground; right breasts are odd; what was seen by eye."""
    folder = real_images / "minimias319"
    found = {}
    for number in (2, 12, 32, 75, 77, 106, 115, 147, 263, 267, 280, 283, 311, 317, 321):
        image, _ = read_slice(folder / f"mdb{number:03d}.jpg")
        found[number] = breast.find(image)
        assert found[number].mirrored is (number % 2 == 1)
        columns = np.flatnonzero(found[number].mask.any(axis=0))
        assert columns[-1] < (360 if number == 283 else 500), "neither label, frame nor tape is part of it"
        assert found[number].reaches_top
    assert {number for number, one in found.items() if one.cut} == {12, 32, 77, 106, 115, 147, 263}

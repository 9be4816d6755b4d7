"""Near duplicates: found in every view, confirmed by a plain correlation, and nothing else joined."""

from __future__ import annotations

import itertools
import time

import cv2
import numpy as np
import pytest

from monai_brain.data import duplicates
from monai_brain.data.duplicates import SIDE, THRESHOLD, TURNS, _shrunk, copy_of, near_duplicates

RNG = np.random.default_rng(0)


def picture(seed, size=96):
    """A smooth picture of its own, without any symmetry."""
    noise = np.random.default_rng(seed).normal(size=(size, size)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    low, high = smooth.min(), smooth.max()
    return ((smooth - low) / (high - low) * 255).astype(np.uint8)


EIGHT = [np.rot90(p, k) for p in (picture(1), picture(1)[:, ::-1]) for k in range(4)]


def test_all_eight_views_of_one_picture_are_joined_pair_by_pair():
    copies = [copy_of(view) for view in [*EIGHT, *(picture(seed) for seed in range(2, 40))]]
    found = near_duplicates(copies)
    assert {(p.first, p.second) for p in found} == set(itertools.combinations(range(8), 2))
    assert all(p.correlation > 0.999 for p in found)


def test_the_turn_named_brings_the_second_onto_the_first():
    for view in EIGHT:
        (pair,) = near_duplicates([copy_of(EIGHT[0]), copy_of(view)])
        turn = TURNS.index(pair.turn)
        back = np.rot90(view[:, ::-1] if turn >= 4 else view, turn % 4)
        np.testing.assert_array_equal(back, EIGHT[0])


def test_signatures_are_equal_for_all_views_and_never_further_apart_than_the_copies():
    copies = np.stack([copy_of(view) for view in [*EIGHT, *(picture(seed) for seed in range(2, 20))]])
    units = duplicates._units(copies.astype(np.float32))
    marks = duplicates.signatures(units)
    np.testing.assert_allclose(marks[1:8], np.broadcast_to(marks[0], (7, marks.shape[1])), atol=2e-3)
    for i, j in itertools.combinations(range(7, len(copies)), 2):
        nearest = min(np.linalg.norm(units[i] - view[j]) for view in duplicates.views(units))
        assert np.linalg.norm(marks[i] - marks[j]) <= nearest + 1e-3


def test_pairs_and_correlations_are_those_of_a_plain_search():
    base = [picture(seed) for seed in range(6)]
    mixed = [
        np.clip(np.rot90(p, i % 4) + RNG.normal(0, spread, p.shape), 0, 255).astype(np.uint8)
        for i, (p, spread) in enumerate(itertools.product(base, (0, 15, 60, 120)))
    ]
    copies = [copy_of(image) for image in mixed]
    found = {(p.first, p.second): p.correlation for p in near_duplicates(copies)}
    for i, j in itertools.combinations(range(len(copies)), 2):
        turned = [np.rot90(c, k) for c in (copies[j], copies[j][:, ::-1]) for k in range(4)]
        best = max(np.corrcoef(copies[i].ravel(), view.ravel())[0, 1] for view in turned)
        if abs(best - THRESHOLD) > 1e-4 and best > THRESHOLD:
            assert found[i, j] == pytest.approx(best, abs=2e-5)
        elif best < duplicates.SIMILAR - 1e-4:
            assert (i, j) not in found


@pytest.mark.parametrize(
    "change",
    [
        lambda p: np.clip(p * 1.4 + 10, 0, 255).astype(np.uint8),
        lambda p: (p * 0.5).astype(np.uint8),
        lambda p: cv2.GaussianBlur(p, (0, 0), 1.5),
        lambda p: cv2.resize(p, (61, 61), interpolation=cv2.INTER_AREA),
        lambda p: cv2.imdecode(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 0),
        lambda p: p.astype(np.uint16) * 200,
        lambda p: p.astype(np.float32) / 255,
    ],
    ids=["brighter", "darker", "softer", "smaller", "jpeg", "16 bits", "floats"],
)
def test_published_changes_do_not_hide_a_copy(change):
    (pair,) = near_duplicates([copy_of(picture(3)), copy_of(np.fliplr(change(picture(3))))])
    assert pair.turn == "mirrored"


def test_alike_in_outline_only_is_no_duplicate():
    """Two bright half discs on black correlate highly; what is inside them tells them apart."""
    rows, columns = np.mgrid[:96, :96]
    disc = ((rows - 48) ** 2 + columns**2 < 60**2) * 160.0
    left, right = (disc + (disc > 0) * (picture(seed) / 4.0 - 32) for seed in (5, 6))
    copies = [copy_of(image.clip(0, 255).astype(np.uint8)) for image in (left, right)]
    assert np.corrcoef(copies[0].ravel(), copies[1].ravel())[0, 1] > duplicates.SIMILAR
    assert near_duplicates(copies) == []


@pytest.mark.parametrize(
    "shape", [(512, 512), (48, 48), (49, 300), (1024, 768), (97, 131), (47, 200), (20, 20)]
)
def test_the_copy_is_shrunk_as_opencv_shrinks_by_area(shape):
    image = np.random.default_rng(sum(shape)).integers(0, 256, shape).astype(np.float32)
    expected = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(_shrunk(image), expected, atol=1e-3)


def test_nan_and_one_value():
    holes = picture(1).astype(np.float32)
    holes[:3] = np.nan
    holes[5, 5] = np.inf
    assert copy_of(holes).max() == 255
    assert not copy_of(np.full((9, 9), 7, np.uint8)).any()
    assert near_duplicates([np.zeros((48, 48), np.uint8)] * 2) == []
    assert near_duplicates([]) == []


@pytest.mark.slow
def test_five_thousand_images_take_seconds():
    noise = RNG.normal(size=(5000, 12, 12)).astype(np.float32)
    copies = [copy_of(cv2.resize(one, (48, 48))) for one in noise]
    copies[4999] = np.rot90(copies[17], 3)
    start = time.process_time()
    (pair,) = near_duplicates(copies)
    assert (pair.first, pair.second) == (17, 4999)
    assert time.process_time() - start < 60

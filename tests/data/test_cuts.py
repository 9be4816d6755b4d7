"""Cuts take the share they are told to, and what they are named after."""

from __future__ import annotations

import numpy as np
import pytest

from monai_brain.data import cuts
from monai_brain.errors import UnknownNameError

Y, X = np.mgrid[0:300, 0:300]
# A half ellipse with its chest wall at x = 20; its nipple is at (140, 150).
BREAST = ((((X - 20) / 120) ** 2 + ((Y - 150) / 130) ** 2 < 1) & (X >= 20)).astype(np.uint8)
PLACES = {
    "nipple": (138, 150),
    "inferior": (24, 278),
    "pectoral": (22, 25),
}
LOSSES = [0.02, 0.07, 0.2, 0.4]


def removed(found, x, y):
    """Beyond any edge, in plain trigonometry."""
    return any(
        x * np.cos(np.radians(e.angle)) + y * np.sin(np.radians(e.angle)) > e.place for e in found.edges
    )


@pytest.mark.parametrize("kind", cuts.CUTS)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_share_is_taken(kind, loss):
    for seed in range(3):
        found = cuts.cut(BREAST, kind, loss, np.random.default_rng(seed))
        gone = [removed(found, x + 0.5, y + 0.5) for y, x in np.argwhere(BREAST)[::7]]
        assert np.mean(gone) == pytest.approx(loss, abs=0.008)
        assert found.loss == pytest.approx(loss, abs=0.006)


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize("loss", LOSSES)
def test_what_a_cut_is_named_after_is_gone(kind, loss):
    for seed in range(8):
        found = cuts.cut(BREAST, kind, loss, np.random.default_rng(seed))
        assert removed(found, *PLACES[kind])
        others = [place for name, place in PLACES.items() if name != kind]
        if loss < 0.1:
            assert not any(removed(found, *place) for place in others)


def test_a_small_contour_cut_spares_the_nipple():
    for seed in range(8):
        found = cuts.cut(BREAST, "contour", 0.02, np.random.default_rng(seed))
        assert not removed(found, *PLACES["nipple"])


@pytest.mark.parametrize("kind", ["collimator", "shifted_detector"])
def test_several_sides_are_missing(kind):
    for seed in range(8):
        found = cuts.cut(BREAST, kind, 0.2, np.random.default_rng(seed))
        foremost, lowest, highest = (removed(found, x, y) for x, y in ((138, 150), (24, 278), (24, 22)))
        assert foremost
        assert lowest or highest
        assert found.soft is (kind == "collimator")


def test_only_sides_that_are_cut_square_lie_at_the_image_s_edge():
    for kind in cuts.CUTS:
        for seed in range(20):
            found = cuts.cut(BREAST, kind, 0.1, np.random.default_rng(seed))
            angles = {"bottom": 90.0, "top": -90.0}
            assert all(angles[side] in {edge.angle for edge in found.edges} for side in found.flush)


def test_an_unknown_cut_is_refused():
    with pytest.raises(UnknownNameError, match="nipple"):
        cuts.cut(BREAST, "niple", 0.1, np.random.default_rng(0))

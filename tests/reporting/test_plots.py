"""Curves whose points stand where their numbers say."""

from __future__ import annotations

import re

import pytest

from monai_brain.reporting.markup import Markup, tag, text
from monai_brain.reporting.plots import HEIGHT, WIDTH, Line, interval, reliability, training


def points(svg, style):
    (found,) = re.findall(rf'<polyline points="([^"]*)" class="curve {style}">', svg)
    return [tuple(map(float, pair.split(","))) for pair in found.split()]


def test_text_is_escaped_and_markup_is_not():
    assert text('<a href="x">&\'') == "&lt;a href=&quot;x&quot;&gt;&amp;&#x27;"
    assert text(Markup("<b>")) == "<b>"
    inner = tag("b", 1 < 2)
    assert (
        tag("p", "<", inner, class_='"', hidden=True, title=None)
        == '<p class="&quot;" hidden>&lt;<b>True</b></p>'
    )
    assert tag("img", alt="") == '<img alt="">'
    assert tag("line", stroke_width=2) == '<line stroke-width="2"></line>'


def test_reliability_places_each_bin_where_it_belongs():
    bins = [
        {"low": 0.0, "high": 0.5, "cases": 0, "confidence": None, "accuracy": None},
        {"low": 0.5, "high": 0.75, "cases": 1, "confidence": 0.5, "accuracy": 0.0},
        {"low": 0.75, "high": 1.0, "cases": 3, "confidence": 1.0, "accuracy": 1.0},
    ]
    svg = reliability(bins)
    (x0, y0), (x1, y1) = points(svg, "even")
    assert points(svg, "first") == [(pytest.approx((x0 + x1) / 2, abs=0.01), y0), (x1, y1)]
    assert 0 < x0 < x1 < WIDTH
    assert 0 < y1 < y0 < HEIGHT
    radii = [float(radius) for radius in re.findall(r'r="([\d.]+)" class="disc"', svg)]
    assert len(radii) == 2
    assert radii[0] < radii[1]
    assert "3 cases: says 1.000, right 1.000" in svg


def test_training_curves_keep_their_shape():
    line = Line("training", [(1, 2.0), (2, 1.0), (3, 0.5), (5, 0.25)], "first")
    (x1, y1), (x2, y2), (x3, y3), (x5, y5) = points(training("Loss", [line]), "first")
    assert x3 - x2 == pytest.approx(x2 - x1, abs=0.02) == pytest.approx((x5 - x3) / 2, abs=0.02)
    assert y2 - y1 == pytest.approx(2 * (y3 - y2), abs=0.02) == pytest.approx(4 * (y5 - y3), abs=0.02)


@pytest.mark.parametrize("values", [[0.0], [3.0], [0.0, 0.0], [-2.0, -1.0], [1e-5, 1e-4], [1e6, 3e6]])
def test_any_numbers_fit_into_the_picture(values):
    svg = training("Loss", [Line("training", list(enumerate(values, 1)), "first")])
    for x, y in points(svg, "first"):
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


def test_nothing_to_draw_is_nothing():
    assert training("Loss", [Line("training", [], "first")]) == ""
    assert interval(None, None, None) == ""
    assert interval(-0.2, -0.4, 0.1) == ""


def test_an_interval_is_a_line_around_its_figure():
    svg = interval(0.5, 0.25, 0.75)
    assert '<line x1="25.0" x2="75.0" y1="8" y2="8" class="span">' in svg
    assert 'cx="50.0"' in svg
    assert 'class="span"' not in interval(0.5, None, None)

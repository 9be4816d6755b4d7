"""Curves whose points stand where their numbers say, and whose numbers are right."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score, roc_curve

from monai_brain.evaluation.predictions import Predictions
from monai_brain.reporting import charts, curves
from monai_brain.reporting.axes import HEIGHT, WIDTH, Axes, steps
from monai_brain.reporting.drawing import Dot, Drawing, Label, Line, svg
from monai_brain.reporting.raster import SCALE, png
from monai_brain.reporting.sheet import Estimate


def scored(count=50, levels=None, seed=0):
    """Two classes with scores, on so many levels that there are ties."""
    generator = np.random.default_rng(seed)
    label = generator.integers(0, 2, count)
    score = np.clip(0.3 * label + 0.7 * generator.random(count), 0, 1)
    score = score if levels is None else np.round(score * levels) / levels
    return Predictions(("no", "yes"), [str(i) for i in range(count)], np.c_[1 - score, score], label=label)


@pytest.mark.parametrize("levels", [None, 4, 20])
def test_roc_curves_are_those_of_scikit_learn(levels):
    rows = scored(levels=levels)
    points = np.array(curves.roc(rows, 1))
    false, true, _ = roc_curve(rows.label, rows.probs[:, 1], drop_intermediate=False)
    assert np.trapezoid(points[:, 1], points[:, 0]) == pytest.approx(
        roc_auc_score(rows.label, rows.probs[:, 1]), abs=1e-12
    )
    assert {tuple(point) for point in points} <= set(zip(false.tolist(), true.tolist(), strict=True))
    assert (points[0] == 0).all()
    assert (points[-1] == 1).all()


def test_a_class_without_a_case_has_no_roc_curve():
    rows = scored().subset(scored().label == 1)
    assert curves.roc(rows, 0) == curves.roc(rows, 1) == []


def test_long_curves_keep_their_ends():
    points = [(float(x), float(x % 7)) for x in range(5000)]
    kept = curves.thinned(points)
    assert len(kept) <= 160
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert set(kept) <= set(points)


@pytest.mark.parametrize("levels", [None, 5])
def test_coverage_is_the_accuracy_of_the_surest(levels):
    rows = scored(30, levels)
    sure = rows.probs.max(1)
    for share, accuracy in curves.coverage(rows):
        answered = sure >= np.sort(sure)[::-1][round(share * 30) - 1]
        assert answered.sum() == round(share * 30)
        assert accuracy == pytest.approx((rows.predicted == rows.label)[answered].mean())


def test_severities_are_read_from_either_form():
    written = [{"fault": "blur", "points": [{"severity": 1, "accuracy": {"value": 0.8}}, {"severity": 0,
               "accuracy": {"value": 0.9}}]}, {"fault": None}, 3]  # fmt: skip
    (found,) = curves.severities(written)
    assert (found.fault, found.lines) == ("blur", {"model": [(0.0, 0.9), (1.0, 0.8)]})
    rows = [
        {"fault": "blur", "severity": 2, "accuracy": 0.5, "variant": "a"},
        {"fault": "blur"},
        {"name": "x"},
    ]
    assert curves.of_rows(rows)[0].lines == {"a": [(2.0, 0.5)]}
    assert curves.severities(None) == []


def lines(drawing, colour="c0"):
    return [mark.points for mark in drawing.marks if isinstance(mark, Line) and mark.colour == colour]


def test_reliability_places_each_bin_where_it_belongs():
    bins = [
        {"low": 0.0, "high": 0.5, "cases": 0, "confidence": None, "accuracy": None},
        {"low": 0.5, "high": 0.75, "cases": 1, "confidence": 0.5, "accuracy": 0.0},
        {"low": 0.75, "high": 1.0, "cases": 3, "confidence": 1.0, "accuracy": 1.0},
    ]
    drawing = charts.reliability(bins)
    axes = Axes((0, 1), (0, 1))
    assert lines(drawing) == [[axes.place(0.5, 0.0), axes.place(1.0, 1.0)]]
    first, second = (mark for mark in drawing.marks if isinstance(mark, Dot))
    assert first.radius < second.radius
    assert second.says == "3 cases: says 1.000, right 1.000"


def test_training_curves_keep_their_shape():
    drawing = charts.training("loss", "Loss", {"training": [(1, 2.0), (2, 1.0), (3, 0.5), (5, 0.25)]})
    ((x1, y1), (x2, y2), (x3, y3), (x5, y5)) = lines(drawing)[0]
    assert x3 - x2 == pytest.approx(x2 - x1, abs=0.02) == pytest.approx((x5 - x3) / 2, abs=0.02)
    assert y2 - y1 == pytest.approx(2 * (y3 - y2), abs=0.02) == pytest.approx(4 * (y5 - y3), abs=0.02)


@pytest.mark.parametrize("values", [[0.0], [3.0], [0.0, 0.0], [-2.0, -1.0], [1e-5, 1e-4], [1e6, 3e6]])
def test_any_numbers_fit_into_the_picture(values):
    drawing = charts.training("loss", "Loss", {"training": list(enumerate(values, 1))})
    for x, y in lines(drawing)[0]:
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (1, 2), (1, 300), (0.8, 1), (0, 2.5e-4), (-3, 4e6), (2, 2)]
)
def test_axes_have_few_round_numbers(low, high):
    found = steps(low, high)
    assert 1 <= len(found) <= 7
    assert low - 1e-9 <= found[0] <= found[-1] <= high + 1e-9
    assert len({f"{one:.6g}" for one in found}) == len(found)


def test_nothing_to_draw_is_nothing():
    assert charts.training("loss", "Loss", {"training": []}) is None
    assert charts.roc({"a": ([], None)}) is None
    assert charts.coverage({}) is None


def test_models_stand_in_order_with_the_papers_beside_them():
    rows = [("plain", Estimate(0.8, 0.7, 0.9), 0.95), ("better <b>", Estimate(0.9, 0.85, 0.95), None)]
    drawing = charts.models(rows)
    dots = [mark for mark in drawing.marks if isinstance(mark, Dot)]
    assert [dot.hollow for dot in dots] == [False, True, False]
    assert dots[0].x < dots[2].x < dots[1].x
    assert dots[0].y == dots[1].y < dots[2].y
    assert "better &lt;b&gt;" in svg(drawing)


DRAWINGS = [
    charts.roc({"a": ([(0, 0), (0.2, 0.9), (1, 1)], 0.9)}),
    charts.confusion([[3, 1], [0, 0]], ["a", "b"], "images"),
    charts.models([("plain", Estimate(0.8, 0.7, 0.9), 0.95)]),
    charts.severity(curves.Severity("blur", {"m": [(0, 0.9), (5, 0.2)], "n": [(0, 0.8)]}), 0.2),
]


@pytest.mark.parametrize("drawing", DRAWINGS, ids=lambda drawing: drawing.name)
def test_a_figure_stands_alone_as_svg_and_png(drawing):
    alone = svg(drawing, alone=True)
    root = ET.fromstring(alone)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "class=" not in alone  # no style sheet comes with it
    assert drawing.title in alone
    picture = Image.open(io.BytesIO(png(drawing)))
    assert picture.width == round(drawing.width * SCALE)
    colours = picture.convert("RGB").getcolors(1 << 24)
    assert max(colours)[1] == (255, 255, 255)
    assert len(colours) > 50
    assert set(re.findall(r'font-size="(\d+)"', alone)) <= {"11", "12", "14"}


def test_no_sign_is_lost_in_a_png():
    def written(text):
        return png(Drawing("a", "A", 80, 20, [Label(2, 12, text), Label(70, 18, text, upright=True)]))

    assert written("1 \u2212 x") == written("1 - x") != written("1 \u2588 x")

"""Tables say the same in every form."""

from __future__ import annotations

import csv
import io
import re

import pytest

from monai_brain.reporting.markup import Markup, tag, text
from monai_brain.reporting.sheet import (
    Estimate,
    Table,
    comma_separated,
    html,
    interval,
    latex,
    markdown,
    plain,
)

TABLE = Table(
    "mine",
    "Mine & yours",
    ["Name", "Accuracy", "n", "p"],
    [["a_1", Estimate(0.5, 0.25, 0.75, "BCa"), 1200, "< 0.001"], ["b|<i>", Estimate(None), 3, "0.040"]],
)


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


def test_a_cell_is_written_as_a_reader_expects_it():
    assert plain(1200) == "1,200"
    assert plain(0.5) == "0.500"
    assert plain(None) == ""
    assert str(Estimate(-0.02, -0.05, 0.01)) == "\u22120.020 (\u22120.050 to 0.010)"
    assert str(Estimate(None)) == "n/a"


def test_html_aligns_numbers_and_escapes_the_rest():
    made = html(TABLE)
    assert "<caption>Mine &amp; yours</caption>" in made
    assert "b|&lt;i&gt;" in made
    assert re.findall(r'<th scope="col"( class="num")?>(\w+)</th>', made) == [
        ("", "Name"),
        (' class="num"', "Accuracy"),
        (' class="num"', "n"),
        (' class="num"', "p"),
    ]
    assert "<b>0.500</b><small>0.250\u20130.750</small>" in made
    assert 'title="BCa"' in made
    assert 'tabindex="0"' in made  # what scrolls can be scrolled by keyboard


def test_csv_holds_the_numbers_in_full():
    rows = list(csv.reader(io.StringIO(comma_separated(TABLE))))
    assert rows[0] == ["Name", "Accuracy", "Accuracy low", "Accuracy high", "n", "p"]
    assert rows[1] == ["a_1", "0.5", "0.25", "0.75", "1200", "< 0.001"]
    assert rows[2] == ["b|<i>", "", "", "", "3", "0.040"]


def test_latex_and_markdown_escape_their_own_signs():
    made = latex(TABLE)
    assert r"\caption{Mine \& yours}" in made
    assert r"a\_1 & 0.500 (0.250--0.750) & 1,200 & \textless{} 0.001 \\" in made
    assert made.count(r"\\") == 3
    assert made.count("{") == made.count("}")
    lines = markdown(TABLE).splitlines()
    assert lines[2] == "| Name | Accuracy | n | p |"
    assert r"| b\|<i> | n/a | 3 | 0.040 |" in lines


def test_an_interval_is_a_band_around_its_figure():
    svg = interval(0.5, 0.25, 0.75)
    assert '<line x1="25.0" x2="75.0" y1="8" y2="8" class="span">' in svg
    assert '<line x1="50.0" x2="50.0" y1="3" y2="13" class="stroke">' in svg
    assert 'class="span"' not in interval(0.5, None, None)
    assert '<line x1="50.0" x2="100.0"' in interval(0.9, 0.8, 1.0, start=0.6)
    assert interval(None, None, None) == interval(-0.2, -0.4, 0.1) == ""


@pytest.mark.parametrize("low", [0.55, 0.999, 0.0])
def test_bars_begin_below_the_lowest_interval(low):
    made = html(Table("t", "", ["a", "b"], [["x", Estimate(0.9995, low, 1.0)]], bars=True))
    (left, right) = re.search(r'x1="([\d.]+)" x2="([\d.]+)" y1="8" y2="8" class="span"', made).groups()
    assert 0 <= float(left) < float(right) == 100

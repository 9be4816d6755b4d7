"""Which image is labelled next, held against scipy's entropy and sums by hand."""

from __future__ import annotations

import pytest
from scipy.stats import entropy

from monai_brain.errors import UnknownNameError
from monai_brain.integrations.label.strategies import ranked, unsureness

SCORES = {
    "sure": [0.97, 0.01, 0.01, 0.01],
    "two": [0.49, 0.49, 0.01, 0.01],
    "all": [0.31, 0.23, 0.23, 0.23],
    "none": None,
}


@pytest.mark.parametrize("name", ["sure", "two", "all"])
def test_entropy_is_scipy_s_in_units_of_its_greatest(name):
    assert unsureness("entropy", SCORES[name]) == pytest.approx(entropy(SCORES[name], base=4))


def test_the_ends_of_both_scales():
    for strategy in ("entropy", "margin"):
        assert unsureness(strategy, [1.0, 0.0]) == 0
        assert unsureness(strategy, [0.5, 0.5]) == pytest.approx(1)


def test_margin_looks_at_the_two_best_alone():
    assert unsureness("margin", [0.5, 0.3, 0.2]) == pytest.approx(0.8)


def test_the_two_differ_where_they_should_and_what_has_no_answer_comes_last():
    assert ranked("entropy", SCORES) == ["all", "two", "sure", "none"]
    assert ranked("margin", SCORES) == ["two", "all", "sure", "none"]


def test_random_is_any_order_that_a_seed_repeats():
    images = {f"{number:02d}": None for number in range(30)}
    first, again, other = (ranked("random", images, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert sorted(first) == sorted(images)


def test_an_unknown_strategy_is_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'entropy'"):
        unsureness("entrop", [0.5, 0.5])

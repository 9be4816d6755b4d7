"""All pairs of classifiers: matched by case, each test as it is alone, corrected over the pairs."""

import json

import numpy as np
import pytest

from monai_brain.errors import ConfigurationError, DataError
from monai_brain.evaluation import comparison, significance
from monai_brain.evaluation.predictions import Predictions


def run(strength, seed, model="m", count=120, **columns):
    label = np.arange(count) % 3
    logits = np.random.default_rng(seed).normal(size=(count, 3))
    logits[np.arange(count), label] += strength
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    defaults = {"patient_id": [f"p{i // 6}-{i % 3}" for i in range(count)], "model": model, "fold": 0}
    return Predictions(
        ("a", "b", "c"), [f"{i}.png" for i in range(count)], probs, label=label, **(defaults | columns)
    )


def test_each_pair_is_tested_and_corrected():
    runs = {"good": run(3, 0), "fair": run(1.5, 1), "bad": run(0.2, 2)}
    found = comparison.compare(runs, draws=200)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    pairs = found["pairs"]
    assert [(pair["first"], pair["second"]) for pair in pairs] == [
        ("good", "fair"),
        ("good", "bad"),
        ("fair", "bad"),
    ]
    for pair in pairs:
        one, other = runs[pair["first"]], runs[pair["second"]]
        alone = significance.mcnemar(one.predicted == one.label, other.predicted == other.label)
        assert pair["mcnemar"]["p"] == alone.p
        assert pair["cases"] == 120 and pair["groups"] == 60
        accuracy = pair["difference"]["accuracy"]
        assert accuracy["difference"] == pytest.approx(
            (one.predicted == one.label).mean() - (other.predicted == other.label).mean()
        )
        assert accuracy["low"] < accuracy["difference"] < accuracy["high"]
        assert set(pair["delong"]) == {"a", "b", "c"}
        assert pair["mcnemar_by_patient"]["only_first"] <= pair["mcnemar"]["only_first"]
    for pick in (
        lambda pair: pair["mcnemar"],
        lambda pair: pair["difference"]["macro_f1"],
        lambda p: p["delong"]["b"],
    ):
        expected = significance.holm([pick(pair)["p"] for pair in pairs])
        assert [pick(pair)["p_holm"] for pair in pairs] == expected


def test_rows_meet_by_case_and_classes_by_name():
    one, other = run(2, 0), run(1, 1)
    order = np.random.default_rng(0).permutation(120)
    shuffled = other.subset(order).in_order_of(("c", "a", "b"))
    first, second = comparison.matched(one, shuffled)
    assert first.case.tolist() == second.case.tolist()
    assert np.array_equal(second.probs, other.probs) and np.array_equal(second.label, other.label)
    straight, crossed = (comparison.compare({"x": one, "y": side}, draws=50) for side in (other, shuffled))
    assert straight == crossed


def test_patients_of_the_first_serve_both_sides():
    one, other = run(2, 0), run(1, 1, patient_id="", model="n", variant="A")
    found = comparison.compare({"x": one, "y": other}, draws=50)["pairs"][0]
    assert found["groups"] == 60 and found["mcnemar_by_patient"] is not None


def test_without_patients_the_notes_say_so():
    found = comparison.compare({"x": run(2, 0, patient_id=""), "y": run(1, 1, patient_id="")}, draws=50)
    assert found["pairs"][0]["groups"] is None and found["pairs"][0]["mcnemar_by_patient"] is None
    assert any("independent" in note for note in found["notes"])


def test_what_cannot_be_compared_is_refused():
    one = run(2, 0)
    with pytest.raises(ConfigurationError, match="at least two"):
        comparison.compare({"x": one})
    with pytest.raises(DataError, match=r"3 cases stand on one side only, such as '0\.png'"):
        comparison.matched(one, one.subset(range(3, 120)))
    with pytest.raises(DataError, match=r"case '0\.png': its label differs: 'a' and 'b'"):
        comparison.matched(one, one.replaced(label=[1, *one.label[1:]]))
    with pytest.raises(DataError, match="other classes"):
        comparison.matched(one, one.replaced(classes=("a", "b", "d")))
    with pytest.raises(DataError, match="no labelled case"):
        comparison.matched(one.replaced(label=None), one)
    twice = Predictions(one.classes, ["x", "x"], one.probs[:2], label=[0, 1], variant=["A", "B"])
    with pytest.raises(DataError, match="stands twice"):
        comparison.matched(twice, one)

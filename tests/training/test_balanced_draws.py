"""Balanced draws: every class as often, the same for the same seed and epoch, and through a recipe."""

from __future__ import annotations

from collections import Counter

import pytest

from monai_brain.errors import ConfigurationError
from monai_brain.testing.tiny import tiny_bundle
from monai_brain.training.balanced_draws import BalancedSampler
from monai_brain.training.workflow import copied, train

ITEMS = [{"label": label} for label in [0] * 90 + [1] * 9 + [2] * 1]


def test_each_class_is_drawn_as_often():
    drawn = list(BalancedSampler(ITEMS, seed=1, size=6000))
    counts = Counter(ITEMS[place]["label"] for place in drawn)
    # 2000 each on average; five standard deviations of a binomial are 183.
    assert all(abs(counts[label] - 2000) < 183 for label in range(3))
    within = Counter(place for place in drawn if ITEMS[place]["label"] == 1)
    assert len(within) == 9
    assert max(within.values()) < 300  # of 222 on average


def test_seed_and_epoch_decide():
    sampler = BalancedSampler(ITEMS, seed=1)
    first = list(sampler)
    assert len(first) == len(sampler) == 100
    assert list(sampler) == first == list(BalancedSampler(ITEMS, seed=1))
    sampler.set_epoch(1)
    second = list(sampler)
    assert second != first
    sampler.set_epoch(0)
    assert list(sampler) == first
    assert list(BalancedSampler(ITEMS, seed=2)) not in (first, second)


@pytest.mark.parametrize(("items", "size"), [([], None), (ITEMS, 0)])
def test_nothing_to_draw(items, size):
    with pytest.raises(ConfigurationError, match="at least 1"):
        BalancedSampler(items, size=size)


def test_copies_are_exactly_as_many_as_asked():
    labels = ["a", "b", "c"]
    found = Counter(item["label"] for item in copied(ITEMS, {"b": 5, "c": 4}, labels))
    assert found == {0: 90, 1: 45, 2: 4}


def test_through_a_recipe(brain_phantoms, tmp_path):
    sampler = {
        "_target_": "monai_brain.training.balanced_draws.BalancedSampler",
        "items": "@train#dataset#data",
        "seed": "@seed",
    }
    loader = {"_target_": "monai.data.DataLoader", "dataset": "@train#dataset", "batch_size": "@batch_size",
              "num_workers": 0, "sampler": sampler}  # fmt: skip
    run = train(
        tiny_bundle(tmp_path / "tiny"), brain_phantoms, 0, run_dir=tmp_path / "run", max_epochs=1,
        batch_size=16, **{"train#dataloader": loader},
    )  # fmt: skip
    assert (run / "models" / "model.pt").is_file()

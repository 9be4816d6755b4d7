"""What belongs together: against a plain search through the graph of shared keys."""

from __future__ import annotations

import random

import pytest

from monai_brain.data import grouping
from monai_brain.data.duplicates import Pair


def item(patient=None, group=None, sha=None):
    return {"patient_id": patient, "group": group, "sha256": sha}


@pytest.mark.parametrize(
    ("patient", "stem"),
    [
        ("MR040240B", "MR040240"),
        ("MR040240", "MR040240"),
        ("100360", "100360"),
        ("B", "B"),
        ("P_1AB", "P_1AB"),
    ],
)
def test_families(patient, stem):
    assert grouping.family(patient) == stem


def named(items, pairs=(), cases=None):
    links = grouping.links(items, pairs)
    roots, needed = grouping.components(len(items), links)
    return grouping.names(items, roots, cases or [f"f{i}" for i in range(len(items))]), links, needed


def test_every_reason_joins_and_says_so():
    items = [
        item("MR1"), item("MR1"), item("MR1B"), item("7", "g"), item(None, "g"),
        item(sha="x"), item(sha="x"), item(), item(),
    ]  # fmt: skip
    names, links, _ = named(items, [Pair(7, 8, 0.999, 0.99, "mirrored"), Pair(5, 6, 1.0, 1.0, "as it is")])
    assert names == ["MR1", "MR1", "MR1", "g", "g", "f5", "f5", "f7", "f7"]
    assert {(k.first, k.second, k.reason) for k in links} == {
        (0, 1, "patient_id"), (0, 2, "family"), (3, 4, "group"), (5, 6, "identical"),
        (7, 8, "near duplicate"),
    }  # fmt: skip


def test_a_chain_through_different_keys_is_one_group():
    items = [item("1", "a"), item("2", "a"), item("2", "b"), item(None, "b"), item("3")]
    names, _, needed = named(items)
    assert names == ["a", "a", "a", "a", "3"]
    assert len(needed) == 3


def test_two_groups_never_bear_one_name():
    names, _, _ = named([item("1"), item("2", "1")], cases=["b", "a"])
    assert names == ["1 (b)", "1 (a)"]


def test_against_a_plain_search_and_whatever_the_order():
    draw = random.Random(3)
    items = [
        item(draw.choice([None, *"123456789"]), draw.choice([None, *"abcdefghijkl"]), str(draw.randrange(60)))
        for _ in range(60)
    ]
    cases = [f"c{i:02d}" for i in range(60)]
    names, _, _ = named(items, cases=cases)
    todo, expected = set(range(60)), []
    while todo:
        reached, edge = set(), {min(todo)}
        while edge:
            reached |= edge
            edge = {
                j
                for j in todo - reached
                for i in edge
                if any(items[i][key] == items[j][key] is not None for key in items[i])
            }
        expected.append(reached)
        todo -= reached
    found = [{i for i in range(60) if names[i] == name} for name in dict.fromkeys(names)]
    assert sorted(map(sorted, found)) == sorted(map(sorted, expected))
    order = draw.sample(range(60), 60)
    again, _, _ = named([items[i] for i in order], cases=[cases[i] for i in order])
    assert [again[order.index(i)] for i in range(60)] == names

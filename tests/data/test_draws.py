"""Exact numbers of images by whole groups: the rule by brute force, and the papers' 1436 of 1500."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_brain.cli import main
from monai_brain.cli.declare import data as declare
from monai_brain.data import datalist, datasets, splits
from monai_brain.data.draws import draw
from monai_brain.errors import ConfigurationError, UnknownNameError


def made(sizes, others=3):
    """Groups of no_tumor in these sizes; a size of 1 stands for an image without a group."""
    rows = [
        ("no_tumor", f"g{place}" if size > 1 else None)
        for place, size in enumerate(sizes)
        for _ in range(size)
    ]
    rows += [("glioma", f"p{number}") for number in range(others)]
    items = [
        {"image": f"/data/{name}/{number}.png", "class_name": name, "patient_id": None, "group": group}
        for number, (name, group) in enumerate(rows)
    ]
    return {"schema_version": 1, "name": "made", "labels": ["glioma", "no_tumor"], "training": items}


sizes = st.lists(st.integers(1, 7), min_size=1, max_size=9)


@settings(deadline=None, max_examples=150)
@given(sizes, st.integers(0, 40), st.integers(0, 3))
def test_exactly_so_many_by_whole_groups_or_a_refusal_that_is_right(sizes, number, seed):
    source = made(sizes)
    sums = {sum(part) for size in range(len(sizes) + 1) for part in itertools.combinations(sizes, size)}
    if number < 1 or number not in sums:
        with pytest.raises(ConfigurationError, match=f"cannot make up {number} of {sum(sizes)}"):
            draw(source, {"no_tumor": number}, seed)
        return
    result = draw(source, {"no_tumor": number}, seed)
    counts = Counter(item["class_name"] for item in result["training"])
    assert counts == {"no_tumor": number, "glioma": 3}
    before, after = (
        Counter(
            item["group"] for item in found["training"] if item["class_name"] == "no_tumor" and item["group"]
        )
        for found in (datalist.read(source), result)
    )
    assert all(after[group] in (0, before[group]) for group in before)
    names = {Path(item["image"]).relative_to("/data").as_posix() for item in result["training"]}
    assert len(names) + len(result["drawn"]["undrawn"]) == len(source["training"])
    assert not names & set(result["drawn"]["undrawn"])
    assert draw(source, {"no_tumor": number}, seed) == result


@settings(deadline=None, max_examples=60)
@given(sizes, st.integers(0, 3))
def test_the_first_set_in_the_order_of_the_draw(sizes, seed):
    """By brute force: of all sets that fit, the one that takes the earliest groups."""
    total = sum(sizes)
    number = max(1, total // 2)
    starts = [sum(sizes[:place]) for place in range(len(sizes))]  # a unit is named by its first item
    order = sorted(starts)
    random.Random(f"{seed}/draw/no_tumor").shuffle(order)
    ordered = [sizes[starts.index(start)] for start in order]
    fitting = [
        mask
        for mask in itertools.product((1, 0), repeat=len(ordered))
        if sum(bit * size for bit, size in zip(mask, ordered, strict=True)) == number
    ]
    if not fitting:
        return
    chosen = {start for start, bit in zip(order, fitting[0], strict=True) if bit}
    result = draw(made(sizes), {"no_tumor": number}, seed)
    kept = {int(Path(item["image"]).stem) for item in result["training"] if item["class_name"] == "no_tumor"}
    assert kept & set(starts) == chosen


def test_another_seed_is_another_draw():
    draws = {tuple(draw(made([2] * 20), {"no_tumor": 20}, seed)["drawn"]["undrawn"]) for seed in range(5)}
    assert len(draws) == 5


def test_what_cannot_be_drawn():
    with pytest.raises(UnknownNameError, match="Did you mean 'no_tumor'"):
        draw(made([2, 2]), {"no_tumour": 2})
    with pytest.raises(ConfigurationError, match=r"cannot make up 5 of 12 images\. Nearest: 4, 8"):
        draw(made([4, 4, 4]), {"no_tumor": 5})
    mixed = made([2, 2])
    mixed["training"][-1]["group"] = "g0"
    with pytest.raises(ConfigurationError, match="1 groups hold no_tumor beside other classes"):
        draw(mixed, {"no_tumor": 2})


def run(*words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["data", "split", *map(str, words)])
    return status, err.getvalue()


def test_the_command_draws_before_it_splits(brain_phantoms, tmp_path):
    out = tmp_path / "drawn.json"
    assert (
        run(brain_phantoms, "--scheme", "paper", "--allow-leakage", "--draw", "glioma=10", "-o", out)[0] == 0
    )
    content = json.loads(out.read_text(encoding="utf-8"))
    assert content["drawn"]["classes"] == {"glioma": 10}
    assert Counter(item["class_name"] for item in content["training"])["glioma"] == 10
    assert content["leakage"] == "record-wise"
    for wrong in ("glioma", "glioma=ten", "glioma=-1"):
        status, error = run(brain_phantoms, "--draw", wrong, "-o", tmp_path / "x.json")
        assert (status, "--draw" in error) == (2, True)


DRAWN = Path(__file__).parents[1] / "_data" / "br35h_undrawn.txt"


@pytest.mark.real_data
def test_the_first_papers_1436_of_1500(real_images):
    """The 64 images that stay out, by name, are kept: whoever indexes the same set draws the same."""
    content = datasets.read_dataset("folders", real_images / "br35h_notumor1500")
    result = draw(content, {"no_tumor": 1436}, seed=0)
    assert len(result["training"]) == 1436
    undrawn = sorted(Path(name).name for name in result["drawn"]["undrawn"])
    assert len(undrawn) == 64
    groups = {item["group"] for item in result["training"]} - {None}
    out = {Path(name).name for name in undrawn}
    assert not groups & {item["group"] for item in content["training"] if Path(item["image"]).name in out}
    assert undrawn == DRAWN.read_text(encoding="utf-8").split()


def test_the_command_passes_on_which_share_validates_and_how_is_rounded(brain_phantoms, tmp_path):
    assert run(brain_phantoms, "--validation", "0.5", "-o", tmp_path / "half.json")[0] == 0
    half = datalist.read(tmp_path / "half.json")
    sizes = {side: len(datalist.part(half, 0, side)) for side in ("train", "validation", "test")}
    assert sizes["test"] > 0
    assert abs(sizes["validation"] - sizes["train"]) <= 4  # whole groups, class by class
    status, error = run(brain_phantoms, "--validation", "1", "-o", tmp_path / "x.json")
    assert (status, "below 1" in error) == (2, True)
    words = (brain_phantoms, "--scheme", "paper", "--allow-leakage", "--rounding")
    tests = []
    for rounding in declare.ROUNDINGS:
        assert run(*words, rounding, "-o", tmp_path / "x.json")[0] == 0
        tests.append(len(datalist.part(datalist.read(tmp_path / "x.json"), 0, "test")))
    expected = Counter(item["class_name"] for item in datalist.read(brain_phantoms)["training"])
    assert tests == [sum(n // 5 for n in expected.values()), sum(-(-n // 5) for n in expected.values())]


def test_the_command_offers_what_the_function_takes():
    assert (declare.SCHEMES, declare.ROUNDINGS) == (splits.SCHEMES, splits.ROUNDINGS)

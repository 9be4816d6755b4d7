"""No hand-made datalist gets a patient or group onto two sides unless it owns up to it."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from monai_brain.data import datalist
from monai_brain.data.splits import SCHEMES, groups, split
from monai_brain.errors import ConfigurationError, DataError
from monai_brain.testing.tiny import tiny_bundle
from monai_brain.training.workflow import train

items = st.lists(
    st.fixed_dictionaries(
        {
            "patient_id": st.one_of(st.none(), st.sampled_from("abcd")),
            "group": st.one_of(st.none(), st.sampled_from("xyz")),
            "fold": st.one_of(st.none(), st.integers(0, 2)),
            "validates": st.lists(st.integers(0, 2), unique=True, max_size=2),
            "testing": st.booleans(),
        }
    ),
    min_size=2,
    max_size=10,
)


def made(rows, **head):
    lists = {"training": [], "testing": []}
    for number, row in enumerate(rows):
        item = {"image": f"/data/{number}.png", "class_name": "ab"[number % 2], **row}
        if item.pop("testing"):
            item |= {"fold": None, "validates": []}
            lists["testing"].append(item)
        else:
            item["validates"] = [fold for fold in item["validates"] if fold != item["fold"]]
            lists["training"].append(item)
    return {"schema_version": 1, "labels": ["a", "b"], **lists, **head}


def sides(item, testing, fold):
    if testing or item["fold"] == fold:
        return "test"
    return "validation" if fold in item["validates"] else "train"


def leaks(content):
    """By brute force: in some fold, one patient or one group stands on two sides."""
    everything = [(item, False) for item in content["training"]] + [
        (item, True) for item in content["testing"]
    ]
    for fold in range(3):
        for key in ("patient_id", "group"):
            places = {}
            for item, testing in everything:
                if item[key] is not None:
                    places.setdefault(item[key], set()).add(sides(item, testing, fold))
            if any(len(found) > 1 for found in places.values()):
                return True
    return False


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.filter_too_much])
@given(items)
def test_every_leak_in_a_hand_made_list_is_refused_and_a_mark_lets_it_pass(rows):
    content = made(rows)
    if leaks(content):
        with pytest.raises(DataError, match="on both sides of a split"):
            datalist.read(content)
        assert datalist.read(content | {"leakage": "record-wise"})["leakage"] == "record-wise"
    else:
        datalist.read(content)


@settings(deadline=None, max_examples=150)
@given(items, st.sampled_from(SCHEMES), st.booleans())
def test_no_scheme_gives_a_leak_without_the_mark(rows, scheme, allowed):
    rows = [{**row, "testing": False, "published_fold": 1 + number % 2} for number, row in enumerate(rows)]
    clean = [{**row, "fold": None, "validates": []} for row in rows]
    try:
        result = split(made(clean), scheme, 2, allow_leakage=allowed)
    except ConfigurationError:
        return
    torn = Counter()
    units = groups(result["training"])
    for fold in datalist.folds(result):
        for unit in set(units):
            here = [item for item, own in zip(result["training"], units, strict=True) if own == unit]
            torn[unit] |= len({sides(item, False, fold) for item in here}) > 1
    assert not any(torn.values()) or (allowed and result["leakage"] == "record-wise")


def test_a_list_made_to_leak_trains_nothing_unless_marked(tmp_path):
    rows = []
    for number in range(12):
        Image.effect_noise((32, 32), 60).save(tmp_path / f"{number}.png")
        rows.append(
            {"image": f"{number}.png", "class_name": ("glioma", "no_tumor")[number % 2], "patient_id": "one",
             "fold": 0 if number < 4 else None, "validates": [0] if 4 <= number < 8 else []}
        )  # fmt: skip
    content = {"schema_version": 1, "labels": ["glioma", "no_tumor"], "training": rows}
    path = tmp_path / "list.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    bundle = tiny_bundle(tmp_path / "tiny")
    with pytest.raises(DataError, match="1 patient_id on both sides of a split: one"):
        train(bundle, path, 0, run_dir=tmp_path / "run", max_epochs=1)
    assert not (tmp_path / "run" / "models" / "model.pt").exists()
    path.write_text(json.dumps(content | {"leakage": "record-wise"}), encoding="utf-8")
    run = train(bundle, path, 0, run_dir=tmp_path / "run", max_epochs=1, batch_size=4)
    assert json.loads((run / "metrics.json").read_text(encoding="utf-8"))["leakage"] == "record-wise"

"""Splits: nothing torn apart, everything tested once, classes spread evenly, the papers' counts."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from monai_brain.data import datalist
from monai_brain.data.balance import balanced
from monai_brain.data.splits import groups, split, table
from monai_brain.errors import ConfigurationError

CLASSES = ["glioma", "meningioma", "no_tumor", "pituitary"]


def make(rows, labels=CLASSES):
    """A datalist from (class, patient, group) triples."""
    items = [
        {"image": f"/images/{i}.png", "class_name": name, "patient_id": patient, "group": group}
        for i, (name, patient, group) in enumerate(rows)
    ]
    return {"schema_version": 1, "name": "made", "labels": labels, "training": items}


def patients(per_class=20, seed=0):
    """Each class with patients of one to nine slices."""
    draw = random.Random(seed)
    return make(
        [
            (name, f"{name}{p}", None)
            for name in CLASSES
            for p in range(per_class)
            for _ in range(draw.randint(1, 9))
        ]
    )


def sides(content, fold):
    result = {"train": [], "validation": [], "test": []}
    for i, item in enumerate(content["training"]):
        side = "test" if item["fold"] == fold else "validation" if fold in item["validates"] else "train"
        result[side].append(i)
    return result


items = st.lists(
    st.tuples(
        st.sampled_from(CLASSES),
        st.one_of(st.none(), st.integers(0, 25).map("p{}".format)),
        st.integers(0, 40).map("g{}".format),
    ),
    min_size=8,
    max_size=120,
)


@settings(deadline=None, max_examples=150)
@given(items, st.sampled_from(["patient", "holdout"]), st.integers(2, 5), st.integers(0, 3))
def test_no_patient_and_no_group_on_two_sides_and_each_image_tests_once(rows, scheme, folds, seed):
    source = make(rows)
    try:
        result = split(source, scheme, folds, seed)
    except ConfigurationError as error:
        assert "Use fewer folds" in str(error)
        return
    assert len(result["training"]) == len(rows)
    tested = Counter()
    for fold in datalist.folds(result):
        parts = sides(result, fold)
        assert all(parts.values())
        for key in (1, 2):
            seen = [{rows[i][key] for i in part} - {None} for part in parts.values()]
            assert sum(map(len, seen)) == len(set().union(*seen))
        tested.update(parts["test"])
    assert set(tested.values()) == {1}
    if scheme == "patient":
        assert len(tested) == len(rows)
        for name in {row[0] for row in rows}:
            assert {item["fold"] for item in result["training"] if item["class_name"] == name} == set(
                range(folds)
            )


@pytest.mark.parametrize("seed", range(5))
def test_class_shares_are_near(seed):
    result = split(patients(25, seed), "patient", 5, seed)
    totals = Counter(item["class_name"] for item in result["training"])
    for fold in range(5):
        parts = sides(result, fold)
        for side, share in (("test", 0.2), ("validation", 0.16), ("train", 0.64)):
            counts = Counter(result["training"][i]["class_name"] for i in parts[side])
            for name in CLASSES:
                assert abs(counts[name] / totals[name] - share) < 0.03


@pytest.mark.parametrize("seed", range(5))
def test_no_worse_balanced_than_scikit_learn(seed):
    """The independent oracle, on skewed patients."""
    draw = np.random.default_rng(seed)
    sizes = draw.geometric(0.1, 120)
    units = np.repeat(np.arange(120), sizes)
    classes = np.repeat(np.array(CLASSES)[draw.integers(0, 4, 120)], sizes)

    def worst(bins):
        return max(abs(np.mean(bins[classes == name] == k) - 0.2) for name in CLASSES for k in range(5))

    theirs = np.zeros(len(units), int)
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    for number, (_, test) in enumerate(splitter.split(units, classes, units)):
        theirs[test] = number
    ours = np.array(balanced(units.tolist(), classes.tolist(), [0.2] * 5, str(seed)))
    assert worst(ours) <= worst(theirs) + 0.01


def test_groups_hang_together_through_others():
    rows = [("glioma", "a", "1"), ("glioma", "b", "1"), ("glioma", "b", "2"), ("glioma", None, "2")]
    found = groups(make([*rows, ("glioma", "c", None), ("glioma", None, None)])["training"])
    assert len(set(found[:4])) == 1
    assert len(set(found)) == 3


def test_a_patient_and_a_group_of_one_name_are_two_things():
    assert len(set(groups(make([("glioma", "x", None), ("glioma", None, "x")])["training"]))) == 2


def test_the_seed_decides_and_nothing_else():
    source = patients()
    first, again, other = (split(source, "patient", 5, seed) for seed in (1, 1, 2))
    assert first == again
    assert [i["fold"] for i in first["training"]] != [i["fold"] for i in other["training"]]


def test_the_same_on_every_machine():
    """Pinned: a change of this line changes everybody's folds."""
    result = split(make([(name, f"{name}{i}", None) for name in CLASSES for i in range(6)]), "patient", 3, 7)
    assert "".join(str(item["fold"]) for item in result["training"]) == "102012122001202011021120"


def test_hash_seeds_do_not_matter(tmp_path):
    path = datalist.write(patients(6), tmp_path / "a.json")
    code = (
        "import sys; from monai_brain.data.splits import split;"
        "print([i['fold'] for i in split(sys.argv[1], 'patient', 3)['training']])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, str(path)],
            env={"PYTHONHASHSEED": str(number), "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for number in (1, 2, 3)
    }
    assert len(outputs) == 1


def figshare():
    counts = {"meningioma": 708, "glioma": 1426, "pituitary": 930, "no_tumor": 1436}
    return make([(name, f"{name}{i // 13}", None) for name, count in counts.items() for i in range(count)])


def counted(result):
    parts = sides(result, 0)
    return {
        name: tuple(
            sum(result["training"][i]["class_name"] == name for i in parts[side])
            for side in ("train", "validation", "test")
        )
        for name in CLASSES
    }


def test_the_first_papers_counts_cell_by_cell():
    result = split(figshare(), "paper", allow_leakage=True)
    assert counted(result) == {
        "meningioma": (454, 113, 141),
        "glioma": (913, 228, 285),
        "pituitary": (596, 148, 186),
        "no_tumor": (920, 229, 287),
    }
    assert result["leakage"] == "record-wise"
    assert result["folds"] == 1


def test_the_second_papers_counts_and_its_grouped_validation():
    source = figshare()
    source["training"] = [item for item in source["training"] if item["class_name"] != "no_tumor"]
    result = split(source, "paper", seed=3, allow_leakage=True, rounding="ceil")
    tests = {name: numbers[2] for name, numbers in counted(result).items()}
    assert tests == {"glioma": 286, "meningioma": 142, "pituitary": 186, "no_tumor": 0}
    parts = sides(result, 0)
    assert len(parts["test"]) == 614
    assert len(parts["train"]) + len(parts["validation"]) == 2450
    assert abs(len(parts["validation"]) / 2450 - 0.1) < 0.01
    train, validation = (
        {result["training"][i]["patient_id"] for i in parts[side]} for side in ("train", "validation")
    )
    assert not train & validation


@pytest.mark.parametrize("scheme", ["kfold", "paper"])
def test_image_by_image_is_refused_where_patients_repeat(scheme):
    with pytest.raises(ConfigurationError, match="share a patient"):
        split(patients(), scheme)
    assert split(patients(), scheme, allow_leakage=True)["leakage"] == "record-wise"


def test_kfold_is_clean_where_every_image_is_another_patient():
    result = split(make([(name, f"{name}{i}", None) for name in CLASSES for i in range(20)]), "kfold", 5)
    assert result["leakage"] is None
    for fold in range(5):
        counts = Counter(i["class_name"] for i in result["training"] if i["fold"] == fold)
        assert counts == dict.fromkeys(CLASSES, 4)


def test_images_of_unknown_patients_are_not_taken_for_strangers():
    bare = make([(name, None, None) for name in CLASSES for _ in range(10)])
    with pytest.raises(ConfigurationError, match="40 of 40 images name neither"):
        split(bare, "patient")
    with pytest.raises(ConfigurationError, match="40 name neither"):
        split(bare, "kfold")
    assert split(bare, "kfold", allow_leakage=True)["leakage"] == "record-wise"


def test_holdout_is_a_fifth_by_group():
    result = split(patients(40), "holdout")
    assert result["folds"] == 1
    for train, validation, test in counted(result).values():
        total = train + validation + test
        assert abs(test / total - 0.2) < 0.02
        assert abs(validation / total - 0.16) < 0.02


def test_validation_share_and_none():
    parts = sides(split(patients(40), "patient", validation=0.1), 0)
    assert abs(len(parts["validation"]) / (len(parts["validation"]) + len(parts["train"])) - 0.1) < 0.02
    assert not sides(split(patients(), "patient", validation=0), 0)["validation"]


def test_testing_items_stay_where_they_are(tmp_path):
    source = patients()
    source["testing"] = [{"image": "/images/t.png", "class_name": "glioma", "patient_id": "new"}]
    result = split(source, "patient")
    assert [item["image"] for item in result["testing"]] == ["/images/t.png"]


def test_a_second_split_forgets_the_first():
    once = split(patients(), "patient", 3, 0)
    assert split(split(patients(), "kfold", 5, 9, allow_leakage=True), "patient", 3, 0) == once


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "patients"}, "Did you mean 'patient'"),
        ({"scheme": "patient", "folds": 1}, "folds is 1"),
        ({"scheme": "patient", "folds": 21}, "too few for 21"),
        ({"scheme": "patient", "validation": 1}, "validation is 1"),
        ({"scheme": "paper", "rounding": "up"}, "rounding"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        split(patients(), **options)


def test_nothing_to_split():
    source = patients()
    source["testing"] = source.pop("training")
    with pytest.raises(ConfigurationError, match="nothing to split"):
        split(source, "patient")


def test_the_table_counts_images_and_groups():
    source = make([("glioma", f"p{i // 2}", None) for i in range(12)], ["glioma"])
    lines = table(split(source, "patient", 3)).splitlines()
    row = next(line for line in lines if line.split()[0] == "glioma").split()
    assert row == ["glioma", "12", "6", "4", "(2)", "4", "(2)", "4", "(2)", "0"]
    assert "scheme patient" in lines[0]


def published(folds, patients=None):
    """Six images with the folds that their authors published."""
    training = [
        {
            "image": f"{i}.png",
            "class_name": "ab"[i % 2],
            "patient_id": (patients or list("uvwxyz"))[i],
            **({"published_fold": fold} if fold else {}),
        }
        for i, fold in enumerate(folds)
    ]
    return {"schema_version": 1, "name": "n", "labels": ["a", "b"], "training": training}


def test_cvind_takes_the_published_folds():
    result = split(published([1, 2, 3, 3, "2", 1]), "cvind", validation=0)
    assert [item["fold"] for item in result["training"]] == [0, 1, 2, 2, 1, 0]
    assert (result["scheme"], result["folds"], result["leakage"]) == ("cvind", 3, None)


def test_cvind_needs_every_fold_and_owns_up_to_torn_patients():
    with pytest.raises(ConfigurationError, match="1 of 6 images have no published_fold"):
        split(published([1, 2, 3, None, 2, 1]), "cvind")
    torn = published([1, 2, 1, 2, 1, 2], list("uuvwxy"))
    with pytest.raises(ConfigurationError, match="1 groups on both sides"):
        split(torn, "cvind")
    assert split(torn, "cvind", allow_leakage=True)["leakage"] == "record-wise"

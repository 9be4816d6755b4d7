"""data index: every file looked at once, bad ones named, the batch goes on, a second run opens none."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sqlite3
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_brain.cli import main
from monai_brain.data import datalist, datasets, duplicates, splits
from monai_brain.data.index import index
from monai_brain.errors import ConfigurationError, DataError, OutputError, UnknownNameError

OPENED: list[str] | None = None


def _audit(event, arguments):
    if OPENED is not None and event == "open" and isinstance(arguments[0], str | os.PathLike):
        OPENED.append(os.fspath(arguments[0]))


sys.addaudithook(_audit)


@contextlib.contextmanager
def opened():
    """The names of all files that Python opens within the block."""
    global OPENED
    OPENED = []
    try:
        yield OPENED
    finally:
        OPENED = None


def noise(seed, size=40):
    return np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)


def put(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


@pytest.fixture
def images(tmp_path):
    for number in range(6):
        put(tmp_path / "in" / ("glioma" if number % 2 else "notumor") / f"{number}.png", noise(number))
    return tmp_path / "in"


def run(*words):
    """Exit status, lines of standard output and of standard error of one command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["data", "index", *map(str, words)])
    return status, out.getvalue().splitlines(), err.getvalue().splitlines()


def test_a_second_run_opens_no_image_and_gives_the_same_file(images, tmp_path):
    with opened() as names:
        assert run("folders", images, "-o", tmp_path / "a.json")[0] == 0
    assert sum(name.endswith(".png") for name in names) >= 6
    first = (tmp_path / "a.json").read_bytes()
    with opened() as names:
        status, lines, errors = run("folders", images, "-o", tmp_path / "a.json", "--json")
    assert not [name for name in names if name.endswith(".png")]
    assert (status, errors) == (0, [])
    said = json.loads(lines[0])
    assert (said["opened"], said["cached"], said["summary"]["images"]) == (0, 6, 6)
    assert (tmp_path / "a.json").read_bytes() == first


def test_only_what_changed_is_opened_again(images, tmp_path):
    cache = tmp_path / "c.sqlite"
    assert datasets.index_dataset("folders", images, cache=cache).opened == 6
    put(images / "glioma" / "1.png", noise(77, 41))
    put(images / "glioma" / "new.png", noise(78))
    (images / "notumor" / "0.png").unlink()
    again = datasets.index_dataset("folders", images, cache=cache)
    assert (again.opened, again.cached) == (2, 4)
    assert again.datalist == datasets.read_dataset("folders", images)
    with contextlib.closing(sqlite3.connect(cache)) as base:
        assert base.execute("SELECT count(*) FROM seen").fetchone() == (6,)


def test_a_cache_that_is_damaged_or_of_another_version_is_built_anew(images, tmp_path):
    cache = tmp_path / "c.sqlite"
    cache.write_bytes(b"no database" * 100)
    assert datasets.index_dataset("folders", images, cache=cache).opened == 6
    with contextlib.closing(sqlite3.connect(cache)) as base:
        base.execute("PRAGMA user_version = 99")
    assert datasets.index_dataset("folders", images, cache=cache).opened == 6
    assert datasets.index_dataset("folders", images, cache=cache).opened == 0


def test_a_cache_that_cannot_be_written(images, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="--no-cache"):
        datasets.index_dataset("folders", images, cache=tmp_path / "file" / "c.sqlite")


def test_an_interrupted_index_goes_on_where_it_was(images, tmp_path):
    paths = sorted(images.rglob("*.png"))

    def describe(path):
        if path == paths[4] and not (tmp_path / "again").exists():
            raise KeyboardInterrupt
        return {"class_name": "a"}

    found = {"training": [{"image": str(path)} for path in paths], "describe": ("test 1", describe)}
    with pytest.raises(KeyboardInterrupt):
        index(found, images, cache=tmp_path / "c.sqlite", workers=1)
    (tmp_path / "again").touch()
    assert index(found, images, cache=tmp_path / "c.sqlite", workers=1).opened == 2


def test_no_cache_leaves_nothing_behind(images, tmp_path):
    assert run("folders", images, "-o", tmp_path / "a.json", "--no-cache")[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "in"]


def test_copies_share_a_group_and_the_summary_says_why(images, tmp_path):
    put(images / "glioma" / "flipped.png", np.flipud(noise(2)))
    content = datasets.read_dataset("folders", images)
    groups = {Path(item["image"]).name: item["group"] for item in content["training"]}
    assert groups["flipped.png"] == groups["2.png"] == "glioma/flipped.png"
    alone = {name for name, group in groups.items() if group is None}
    assert alone == set(groups) - {"2.png", "flipped.png"}  # nobody knows whose they are
    assert content["summary"]["of_unknown_group"] == 5
    (joined,) = content["joined"]
    assert joined["images"] == ["glioma/flipped.png", "notumor/2.png"]
    assert (joined["reason"], joined["turn"]) == ("near duplicate", "mirrored, turned by 180 degrees")
    assert content["summary"]["same_picture_other_class"] == 1
    assert content["summary"]["links"] == {"near duplicate": 1}


def test_images_of_unknown_patients_are_split_only_with_leave_to_leak(images):
    content = datasets.read_dataset("folders", images)
    for scheme in ("patient", "kfold"):
        with pytest.raises(ConfigurationError, match="--allow-leakage"):
            splits.split(content, scheme, folds=2)
    assert splits.split(content, "kfold", folds=2, allow_leakage=True)["leakage"] == "record-wise"


def test_classes_get_other_names(images, tmp_path):
    status, _, _ = run("folders", images, "-o", tmp_path / "a.json", "--map", "glioma=tumor")
    assert status == 0
    assert datalist.read(tmp_path / "a.json")["labels"] == ["no_tumor", "tumor"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--map", "glioma"], "expected --map NAME=NAME"),
        (["--column", "=x"], "expected --column NAME=NAME"),
        (["--labels", "x.csv"], "take no labels"),
        (["--workers", "0"], "at least 1"),
    ],
)
def test_options_that_do_not_fit(images, tmp_path, words, message):
    status, _, errors = run("folders", images, "-o", tmp_path / "a.json", *words)
    assert status == 2
    assert message in errors[0]
    assert not (tmp_path / "a.json").exists()


def test_an_unknown_kind():
    with pytest.raises(UnknownNameError, match="manifest"):
        datasets.read_dataset("manifset", ".")
    with pytest.raises(ConfigurationError, match="Options: columns"):
        datasets.read_dataset("manifest", ".", colums={})


def test_nothing_good_is_an_error_with_the_reasons(tmp_path):
    put(tmp_path / "glioma" / "black.png", np.zeros((9, 9), np.uint8))
    with pytest.raises(DataError, match=r"none of 1 files can be used\. glioma/black\.png: no contrast"):
        datasets.read_dataset("folders", tmp_path)


def test_what_should_be_there_and_is_not(images):
    items = [{"image": str(images / "glioma" / "1.png"), "class_name": "a"}]
    found = {"training": items, "expected": 2, "missing": ["x.png"]}
    assert index(found, images).datalist["missing"] == ["x.png"]


def test_errors_of_a_reader_of_labels_are_reasons(images):
    def describe(path):
        if path.name == "1.png":
            raise ZeroDivisionError("secret words of the file")
        return {"class_name": "a"} if path.name == "2.png" else {}

    items = [{"image": str(path)} for path in sorted(images.rglob("*.png"))]
    content = index({"training": items, "describe": ("test 1", describe)}, images).datalist
    assert [item["class_name"] for item in content["training"]] == ["a"]
    reasons = {entry["image"]: entry["reason"] for entry in content["rejected"]}
    assert reasons["glioma/1.png"] == "damaged: ZeroDivisionError"
    assert reasons["glioma/3.png"].startswith("no label")


def plain_correlation(first, second):
    turned = [np.rot90(c, k) for c in (second, second[:, ::-1]) for k in range(4)]
    return max(np.corrcoef(first.ravel(), view.ravel())[0, 1] for view in turned)


@pytest.mark.real_data
def test_figshare_with_planted_copies(real_images, tmp_path):
    """All slices, none bad, 209 groups; 100 turned copies go to their originals' groups and nowhere else."""
    root = real_images / "figshare3064"
    done = datasets.index_dataset("manifest", root / "manifest.csv", cache=tmp_path / "c.sqlite")
    content = done.datalist
    assert (done.opened, content["rejected"], content["joined"]) == (3064, [], [])
    counts = Counter(item["class_name"] for item in content["training"])
    assert counts == {"meningioma": 708, "glioma": 1426, "pituitary": 930}
    assert (content["summary"]["patients"], content["summary"]["groups"]) == (233, 209)
    with opened() as names:
        again = datasets.index_dataset("manifest", root / "manifest.csv", cache=tmp_path / "c.sqlite")
    assert (again.opened, again.datalist == content) == (0, True)
    assert not [name for name in names if name.endswith(".jpg")]
    draw = np.random.default_rng(5)
    chosen = draw.choice(3064, 100, replace=False)
    items = [dict(item) for item in content["training"]]
    for place, number in enumerate(chosen):
        image = np.asarray(Image.open(items[number]["image"]).convert("L"))
        view = np.rot90(image[:, ::-1] if place % 2 else image, place // 2 % 4)
        target = tmp_path / "planted" / f"{number}.jpg"
        target.parent.mkdir(exist_ok=True)
        Image.fromarray(view).save(target, quality=int(draw.integers(40, 95)))
        items.append({"image": str(target), "class_name": items[number]["class_name"]})
    planted = index({"training": items}, root, cache=tmp_path / "c.sqlite")
    assert planted.opened == 100
    for number, item in zip(chosen, planted.datalist["training"][3064:], strict=True):
        assert item["group"] == content["training"][number]["group"]
    assert planted.datalist["summary"]["groups"] == 209


@pytest.mark.real_data
def test_every_near_equal_pair_of_a_published_group_is_found_without_being_told(real_images):
    root = real_images / "br35h_notumor1500"
    content = datasets.read_dataset("folders", root)
    found = {os.path.relpath(item["image"], root): item["group"] for item in content["training"]}
    with (root / "manifest.csv").open(encoding="utf-8") as stream:
        rows = [line.split(",") for line in stream.read().splitlines()[1:]]
    assert len(rows) == len(found) == 1500
    members = {}
    for file, _, group, _ in rows:
        members.setdefault(group, []).append(file)
    copies = {file: duplicates.copy_of(np.asarray(Image.open(root / file).convert("L"))) for file, *_ in rows}
    near = lost = 0
    for files in members.values():
        for i, one in enumerate(files):
            for other in files[i + 1 :]:
                if plain_correlation(copies[one], copies[other]) > 0.998:
                    near += 1
                    lost += found[one] != found[other]
    assert near > 5000
    assert lost == 0

"""The datalist: what it accepts, what it refuses, and which items a side of a fold holds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from monai_brain.data import datalist
from monai_brain.errors import ConfigurationError, DataError

LABELS = ["glioma", "meningioma"]


def content(**changes):
    """Six items in three folds; fold k is validated by the items of fold k + 1."""
    items = [
        {
            "image": f"images/{i}.png",
            "label": i % 2,
            "class_name": LABELS[i % 2],
            "patient_id": f"p{i}",
            "group": f"g{i}",
            "fold": i // 2,
            "validates": [(i // 2 - 1) % 3],
            "scanner": "A",
        }
        for i in range(6)
    ]
    return {"schema_version": 1, "name": "tiny", "labels": LABELS, "training": items, **changes}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for i in range(8):
        (tmp_path / "images" / f"{i}.png").write_bytes(b"x")
    return tmp_path


def save(folder: Path, what) -> Path:
    path = folder / "datalist.json"
    path.write_text(what if isinstance(what, str) else json.dumps(what), encoding="utf-8")
    return path


def names(items):
    return [Path(item["image"]).stem for item in items]


def test_each_side_of_each_fold(folder):
    path = save(folder, content())
    assert datalist.folds(path) == [0, 1, 2]
    assert names(datalist.part(path, 0, "test")) == ["0", "1"]
    assert names(datalist.part(path, 0, "validation")) == ["2", "3"]
    assert names(datalist.part(path, 0, "train")) == ["4", "5"]
    assert names(datalist.part(path, 2, "test")) == ["4", "5"]
    assert names(datalist.part(path, 2, "validation")) == ["0", "1"]


def test_items_keep_their_other_keys_and_have_absolute_images(folder):
    item = datalist.part(save(folder, content()), 1, "test")[0]
    assert item["scanner"] == "A"
    assert item["patient_id"] == "p2"
    assert item["image"] == str(folder / "images" / "2.png")


def test_items_of_uneven_keys_still_make_one_batch(folder):
    uneven = content()
    uneven["training"][0] |= {"patient_id": None, "age": 3, "score": 1.5, "spacing": [1, 2]}
    uneven["training"][1] |= {"score": 2.5}
    items = datalist.part(save(folder, uneven), 0, "test")
    assert [item["patient_id"] for item in items] == ["", "p1"]
    assert [item["age"] for item in items] == ["3", ""]
    assert [item["score"] for item in items] == [1.5, 2.5]
    assert [item["spacing"] for item in items] == ["[1, 2]", ""]
    assert not {"fold", "validates"} & set(items[0])
    loader = pytest.importorskip("monai.data").DataLoader(items, batch_size=2)
    assert next(iter(loader))["label"].tolist() == [0, 1]


def test_labels_follow_the_models_order_by_name(folder):
    path = save(folder, content())
    model = ["no_tumor", "meningioma", "glioma"]
    assert [item["label"] for item in datalist.part(path, 0, "test", model)] == [2, 1]
    assert [item["label"] for item in datalist.part(path, 0, "test")] == [0, 1]


def test_unknown_class_names_both_sides_and_the_way_out(folder):
    path = save(folder, content())
    with pytest.raises(
        ConfigurationError, match=r"meningioma\. Expected: glioma, tumour\..*--map meningioma="
    ):
        datalist.part(path, 0, "test", ["glioma", "tumour"])


def test_rename_maps_the_datas_names_to_the_models(folder):
    path = save(folder, content())
    items = datalist.part(path, 0, "test", ["tumour", "glioma"], rename={"meningioma": "tumour"})
    assert [(item["class_name"], item["label"]) for item in items] == [("glioma", 1), ("tumour", 0)]


def test_a_class_that_no_item_bears_does_not_hinder(folder):
    path = save(folder, content(labels=[*LABELS, "no_tumor"]))
    assert len(datalist.part(path, 0, "train", LABELS)) == 2


def test_testing_items_are_test_in_every_fold(folder):
    extra = {"image": "images/6.png", "label": 0}
    path = save(folder, content(testing=[extra]))
    for fold in range(3):
        assert "6" in names(datalist.part(path, fold, "test"))
        for side in ("train", "validation"):
            assert "6" not in names(datalist.part(path, fold, side))


def test_fold_none_tests_or_trains_everything_and_validates_nothing(folder):
    path = save(folder, content(testing=[{"image": "images/6.png", "class_name": "glioma"}]))
    assert names(datalist.part(path, None, "test")) == list("0123456")
    assert names(datalist.part(path, None, "train")) == list("0123456")
    with pytest.raises(ConfigurationError, match="no validation side"):
        datalist.part(path, None, "validation")


def test_validation_is_never_made_up(folder):
    bare = content()
    for item in bare["training"]:
        del item["validates"]
    path = save(folder, bare)
    assert names(datalist.part(path, 0, "train")) == ["2", "3", "4", "5"]
    with pytest.raises(ConfigurationError, match="fold 0 has no validation items"):
        datalist.part(path, 0, "validation")


def test_a_fold_that_is_not_there(folder):
    with pytest.raises(ConfigurationError, match=r"no fold 3\. It has: 0, 1, 2"):
        datalist.part(save(folder, content()), 3, "test")


def test_an_unsplit_datalist_says_how_to_split(folder):
    bare = content()
    for item in bare["training"]:
        del item["validates"], item["fold"]
    with pytest.raises(ConfigurationError, match="data split"):
        datalist.part(save(folder, bare), 0, "train")


def test_missing_files_are_all_counted_up_front(folder):
    for i in (2, 4, 5):
        (folder / "images" / f"{i}.png").unlink()
    path = save(folder, content())
    assert datalist.part(path, 0, "test")
    with pytest.raises(DataError, match=r"2 of 2 images are missing: .*4\.png, .*5\.png"):
        datalist.part(path, 0, "train")


@pytest.mark.parametrize("key", ["patient_id", "group"])
def test_a_patient_or_group_in_two_folds_is_refused_unless_owned_up_to(folder, key):
    torn = content()
    torn["training"][0][key] = torn["training"][5][key] = "shared"
    with pytest.raises(DataError, match=f"1 {key} on both sides of a split: shared"):
        datalist.read(save(folder, torn))
    assert datalist.read(save(folder, torn | {"leakage": "record-wise"}))["leakage"] == "record-wise"


def test_a_patient_in_training_and_testing_is_refused(folder):
    torn = content(testing=[{"image": "images/6.png", "label": 0, "patient_id": "p0"}])
    with pytest.raises(DataError, match="p0"):
        datalist.read(save(folder, torn))


def test_a_patient_that_trains_and_validates_in_one_fold_is_refused(folder):
    torn = content()
    torn["training"][1]["patient_id"] = "p0"
    torn["training"][1]["validates"] = [1]
    with pytest.raises(DataError, match="p0"):
        datalist.read(save(folder, torn))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not valid JSON"),
        ("[]", "a list"),
        ("\ufeff{}", "byte order mark"),
        ('{"schema_version": 1, "schema_version": 1}', "twice"),
        ('{"schema_version": NaN}', "NaN"),
        ('{"a": -Infinity}', "-Infinity"),
        ('{"a": 1,}', "not valid JSON"),
        ("[" * 200_000, "not valid JSON"),
        ("{}", "schema_version is None"),
        ('{"schema_version": 2}', "schema_version is 2"),
        ('{"schema_version": 1}', "labels"),
    ],
)
def test_bad_files_give_one_line_with_the_files_name(folder, text, reason):
    path = save(folder, text)
    with pytest.raises(DataError) as caught:
        datalist.read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert reason in message
    assert "\n" not in message


def test_bytes_that_are_no_text(folder):
    path = folder / "datalist.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not valid JSON"):
        datalist.read(path)


def test_no_file_and_a_folder(folder):
    with pytest.raises(ConfigurationError, match=r"absent\.json does not exist. Make a datalist"):
        datalist.read(folder / "absent.json")
    with pytest.raises(DataError, match="cannot be read"):
        datalist.read(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"label": 9, "class_name": None}, "label 9"),
        ({"label": 1}, "has the index 0"),
        ({"class_name": "tumour"}, "tumour"),
        ({"image": None}, "image is None"),
        ({"image": "images/1.png"}, "named twice"),
        ({"fold": -1}, "fold -1"),
        ({"fold": "0"}, "fold '0'"),
        ({"validates": [0]}, "same fold"),
        ({"validates": 1}, "validates 1"),
        ({"patient_id": 1.5}, "patient_id"),
    ],
)
def test_bad_items_are_refused(folder, change, reason):
    bad = content()
    bad["training"][0] |= change
    with pytest.raises(DataError, match=reason):
        datalist.read(save(folder, bad))


def test_write_makes_images_relative_and_reads_back_the_same(folder):
    source = datalist.read(save(folder, content()))
    target = datalist.write(source, folder / "deep" / "er" / "list.json")
    raw = json.loads(target.read_text(encoding="utf-8"))
    assert raw["training"][0]["image"] == "../../images/0.png"
    assert datalist.read(target) == source


def test_writing_nonsense_leaves_the_old_file(folder):
    path = save(folder, content())
    before = path.read_bytes()
    with pytest.raises(DataError):
        datalist.write(content(labels=[]), path)
    assert path.read_bytes() == before


def test_non_ascii_names_survive(folder):
    name = "images/Ü b é.png"
    (folder / name).write_bytes(b"x")
    changed = content()
    changed["training"][0]["image"] = name
    target = datalist.write(datalist.read(save(folder, changed)), folder / "neu.json")
    assert datalist.part(target, 0, "test")[0]["image"] == str(folder / name)


def test_a_whole_number_as_patient_id_becomes_text(folder):
    changed = content()
    changed["training"][0]["patient_id"] = 100360
    assert datalist.read(save(folder, changed))["training"][0]["patient_id"] == "100360"


def test_monai_reads_the_same_file(folder):
    monai_data = pytest.importorskip("monai.data")
    items = monai_data.load_decathlon_datalist(str(save(folder, content())), True, "training")
    ours = datalist.read(folder / "datalist.json")["training"]
    assert [(i["image"], i["label"]) for i in items] == [(i["image"], i["label"]) for i in ours]


def test_it_needs_neither_torch_nor_numpy():
    code = "import sys, monai_brain.data.datalist; sys.exit('numpy' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

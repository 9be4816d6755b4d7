"""The set: women apart, classes and faults balanced, the same bytes again, bad files named."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import cv2
import numpy as np
import pytest

from monai_brain import cli
from monai_brain.data import completeness_set, datalist, films, phantoms
from monai_brain.data.cuts import CUTS
from monai_brain.errors import ConfigurationError, DataError

LABELS = ["complete", "incomplete"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Whole phantoms of a dozen women."""
    folder = tmp_path_factory.mktemp("whole")
    phantoms.write("mammogram", folder, 40, seed=2, size=96, classes=["complete"])
    return folder


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    completeness_set.write(
        source / "datalist.json", folder, n=72, seed=5, size=64, workers=1, contact_sheet=True
    )
    return folder


def contents(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def test_classes_and_faults_are_balanced(made):
    items = datalist.read(made / "datalist.json")["training"]
    assert Counter(item["class_name"] for item in items) == {"complete": 36, "incomplete": 36}
    for item in items:
        assert (item["fault"] == "none") == (item["class_name"] == "complete") == (item["loss"] == 0)
        if item["loss"]:
            assert 0.015 < item["loss"] < 0.41
        image = cv2.imread(item["image"], cv2.IMREAD_UNCHANGED)
        assert image.shape == (64, 64)
        assert image.dtype == np.uint8
    faults = Counter(item["fault"] for item in items if item["fault"] != "none")
    assert set(faults) == set(CUTS)
    assert max(faults.values()) - min(faults.values()) <= 3
    films_used = Counter((item["film"], item["class_name"]) for item in items)
    assert max(films_used.values()) - min(films_used.values()) <= 1


def test_losses_are_spread_evenly_over_their_logarithm(made):
    items = datalist.read(made / "datalist.json")["training"]
    steps = np.sort([np.log(item["loss"] / 0.02) / np.log(20) for item in items if item["loss"]])
    np.testing.assert_allclose(steps, (np.arange(len(steps)) + 0.5) / len(steps), atol=0.08)


def test_women_stand_on_one_side_and_train_finds_all_three(made, source):
    parts = {
        side: datalist.part(made / "datalist.json", 0, side, LABELS)
        for side in ("train", "validation", "test")
    }
    women = {side: {item["group"] for item in items} for side, items in parts.items()}
    assert all(women.values())
    assert sum(map(len, women.values())) == len(set.union(*women.values()))
    everyone = sum(map(len, women.values()))
    assert abs(len(women["test"]) - 0.2 * everyone) <= 1
    for items in parts.values():
        assert {item["class_name"] for item in items} == set(LABELS)
    assert {item["film"] for item in parts["train"]} <= {
        path.relative_to(source).as_posix() for path in source.rglob("*.png")
    }


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(made, source, tmp_path):
    again, other = tmp_path / "again", tmp_path / "other"
    completeness_set.write(
        source / "datalist.json", again, n=72, seed=5, size=64, workers=4, contact_sheet=True
    )
    assert contents(again) == contents(made)
    completeness_set.write(source / "datalist.json", other, n=12, seed=6, size=64)
    assert not set(contents(other).values()) & set(contents(made).values())


def test_the_card_says_how_it_was_made(made):
    content = json.loads((made / "datalist.json").read_text("utf-8"))
    facts = content["made"]
    assert (facts["seed"], facts["size"], content["scheme"], content["folds"]) == (5, 64, "holdout", 1)
    assert sum(part["images"] for part in facts["counts"].values()) == 72
    control = facts["nuisance"]
    assert control["train"] + control["test"] == 72
    text = (made / "README.md").read_text("utf-8")
    assert "seed 5" in text
    assert f"{control['accuracy']:.3f}" in text
    assert f"| women | {' | '.join(str(facts['counts'][p]['women']) for p in facts['counts'])} |" in text
    assert "not for\ndiagnosis" in text
    assert all(f"`{name}`" in text for name in CUTS)
    sheet = cv2.imread(str(made / "contact_sheet.png"), cv2.IMREAD_UNCHANGED)
    assert sheet.shape[1] == 10 * 130 + 2


def test_bad_files_are_named_and_the_rest_goes_on(source, tmp_path, capsys):
    folder = tmp_path / "films"
    shutil.copytree(source, folder)
    items = datalist.read(folder / "datalist.json")["training"]
    rows = ["file,woman"] + [f"images/{item['image'].split('/')[-1]},{item['group']}" for item in items]
    (folder / "datalist.json").unlink()
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    cv2.imwrite(str(folder / "snow.png"), np.full((64, 64), 7, np.uint8) + np.eye(64, dtype=np.uint8) * 3)
    rows += ["broken.png,w1", "snow.png,w2", "gone.png,w3"]
    text = "\n".join(rows).replace("woman", "group") + "\n"
    (folder / "manifest.csv").write_text(text, encoding="utf-8")
    status = cli.main(
        ["data", "incomplete", str(folder), "-o", str(tmp_path / "out"), "--n", "12", "--size", "48"]
    )
    told = capsys.readouterr()
    assert status == 3
    assert {line.split(":")[0] for line in told.err.splitlines()} == {"broken.png", "snow.png", "gone.png"}
    assert "12 images of" in told.out
    assert "3 rejected" in told.out
    assert "nuisance control:" in told.out
    content = datalist.read(tmp_path / "out" / "datalist.json")
    assert len(content["training"]) == 12
    assert [entry["image"] for entry in content["rejected"]] == ["broken.png", "gone.png", "snow.png"]


def test_json_is_for_programs(source, tmp_path, capsys):
    arguments = [
        "data",
        "incomplete",
        str(source),
        "-o",
        str(tmp_path),
        "--n",
        "12",
        "--size",
        "32",
        "--json",
    ]
    assert cli.main(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["images"] == {"complete": 6, "incomplete": 6}
    assert told["made"]["films"] > 20


def test_what_is_labelled_incomplete_is_left_out(tmp_path):
    phantoms.write("mammogram", tmp_path, 24, seed=1, size=48)
    found = films.read(tmp_path)
    assert len(found["training"]) == 12
    assert set(found["left_out"].values()) == {"it is labelled incomplete"}


def test_mini_mias_names_its_women(source, tmp_path):
    rows = []
    for number, path in enumerate(sorted((source / "images").glob("*.png"))[:6], 1):
        shutil.copy(path, tmp_path / f"mdb{number:03d}.png")
        rows.append(f"mdb{number:03d} G NORM")
    (tmp_path / "Info.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
    found = films.read(tmp_path)
    assert [item["patient_id"] for item in found["training"]] == [f"mias_{n:03d}" for n in (1, 1, 2, 2, 3, 3)]


def test_films_of_unknown_women_are_refused(source, tmp_path):
    for number, path in enumerate(sorted((source / "images").glob("*.png"))[::5]):
        shutil.copy(path, tmp_path / f"{number}.png")
    with pytest.raises(ConfigurationError, match="nothing says whose they are"):
        completeness_set.write(tmp_path, tmp_path / "out", n=12)


@pytest.mark.parametrize(
    ("option", "value"), [("n", 4), ("seed", -1), ("size", 8), ("workers", 0)], ids=lambda x: str(x)
)
def test_nonsense_is_refused(source, tmp_path, option, value):
    with pytest.raises(ConfigurationError, match=option):
        completeness_set.write(source, tmp_path, **{option: value})


def test_a_source_that_is_none_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="does not exist"):
        completeness_set.write(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(DataError, match="no mammogram"):
        completeness_set.write(tmp_path, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.real_data
def test_mini_mias_gives_a_thousand_images_that_nuisances_do_not_tell_apart(real_images, tmp_path):
    found = completeness_set.write(real_images / "minimias319", tmp_path / "out", n=1000, seed=0)
    assert Counter(item["class_name"] for item in found["training"]) == {"complete": 500, "incomplete": 500}
    counts = found["made"]["counts"]
    women = [counts[part]["women"] for part in ("train", "validation", "test")]
    assert abs(women[2] / sum(women) - 0.2) < 0.01
    assert found["rejected"] == []
    assert found["made"]["nuisance"]["accuracy"] <= 0.60

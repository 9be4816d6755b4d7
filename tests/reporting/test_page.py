"""Reports, read by a strict parser: whole, self-contained, escaped, and true to predictions.csv."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, confusion_matrix

import monai_brain as mb
from monai_brain.cli import main
from monai_brain.errors import DataError, OutputError, UnknownNameError
from monai_brain.evaluation.judge import evaluate
from monai_brain.evaluation.predictions import Predictions, put_together, read, write
from monai_brain.reporting import page
from monai_brain.reporting.page import report

from .conftest import NASTY, VARIANTS, Strict, predicted


def made(*arguments, **options):
    source = report(*arguments, draws=50, **options).read_text(encoding="utf-8")
    return source, Strict(source)


def test_the_page_needs_nothing_but_itself(run):
    _, found = made(run)
    for _, attributes, _ in found.elements:
        for key in ("src", "action", "data", "srcset", "poster"):
            assert attributes.get(key, "data:").startswith("data:")
        assert attributes.get("href", "#").startswith("#")
    (style,) = found.all("style")
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert not found.all("link")
    script, data = (text for _, text in found.all("script")[::-1])
    assert json.loads(data)["rows"] == 60
    (policy,) = found.all("meta", **{"http-equiv": "Content-Security-Policy"})
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy[0]["content"]
    assert policy[0]["content"].startswith("default-src 'none';")
    assert "prefers-color-scheme: dark" in style[1]
    assert "@media print" in style[1]


def test_every_anchor_leads_somewhere_and_no_name_stands_twice(run):
    _, found = made(run)
    names = [attributes["id"] for _, attributes, _ in found.elements if "id" in attributes]
    assert len(names) == len(set(names))
    targets = {attributes["href"].removeprefix("#") for attributes, _ in found.all("a")}
    assert {"summary", "results", "curves", "cases", "data", "model", "paper", "claim", "manifest"} <= targets
    assert targets <= set(names)
    labels = {name for _, attributes, _ in found.elements if (name := attributes.get("aria-labelledby"))}
    assert labels <= set(names)


def test_every_case_stands_in_the_data_with_what_was_said_of_it(run):
    _, found = made(run)
    given, data = read(run / "predictions.csv"), found.data
    assert data["case"] == given.case.tolist()
    assert data["label"] == given.label.tolist()
    assert data["predicted"] == given.predicted.tolist()
    assert np.array(data["probs"]) == pytest.approx(given.probs, abs=5e-5)
    assert data["split"] == given.split.tolist()
    assert data["arm"] == given.model.tolist()
    wrong = given.label != given.predicted
    first = data["order"][: wrong.sum()]
    assert set(first) == set(np.flatnonzero(wrong).tolist())
    sure = given.probs.max(1)[first]
    assert (np.diff(sure) <= 0).all()
    assert sorted(data["order"]) == list(range(60))


def test_without_scripts_the_first_cases_stand_in_the_page(run):
    _, found = made(run)
    given, data = read(run / "predictions.csv"), found.data
    names = [text for attributes, text in found.all("th", scope="row") if text.startswith("images/")]
    assert names == [str(given.case[row]) for row in data["order"][:50]]


def test_the_figures_are_those_of_the_test_images(run):
    source, found = made(run)
    test = read(run / "predictions.csv").where(split="test")
    (matrix,) = [
        part for part in re.findall(r'<table class="confusion">.*?</table>', source) if "by image" in part
    ]
    counts = [int(count) for count in re.findall(r"<b>(\d+)</b>", matrix)]
    assert counts == confusion_matrix(test.label, test.predicted).ravel().tolist()
    accuracy = accuracy_score(test.label, test.predicted)
    figures = [text for attributes, text in found.all("span", **{"class": "figure barred"})]
    assert figures[0].startswith(f"{accuracy:.3f}")
    patients = evaluate(test)["by_patient"]["overall"]["accuracy"]["value"]
    assert figures[1].startswith(f"{patients:.3f}")
    sentences = " ".join(text for _, text in found.all("p")).replace("\u00a0", " ")
    right = round(40 * accuracy)
    assert (
        f"Of 40 test images the model named the right class for {right}, {100 * accuracy:.1f} %" in sentences
    )
    assert (
        "trained for 6 epochs; the weights are those of epoch 4, selected on validation accuracy" in sentences
    )


def test_the_papers_figures_stand_beside(run):
    _, found = made(run)
    sentences = " ".join(text for _, text in found.all("p")).replace("\u00a0", " ")
    assert "The paper states 98.82 % on its own split" in sentences
    heads = [text for _, text in found.all("th", scope="col")]
    assert "Paper" in heads
    cells = [text for attributes, text in found.all("span", **{"class": "figure barred"})]
    assert {"0.9882", "0.9842", "0.9862", "0.9963", "0.9851"} <= set(cells)


def test_few_groups_are_warned_of(run):
    _, found = made(run)
    notes = [text for _, text in found.all("li")]
    assert any(note.startswith("Only 10 groups: below 100") for note in notes)


def test_curves_are_drawn_from_what_the_run_recorded(run):
    _, found = made(run)
    titles = [attributes["aria-label"] for attributes, _ in found.all("svg", role="img")]
    assert titles == [
        "ROC curves", "Reliability", "Accuracy with abstention", "Loss", "Accuracy", "Learning rate",
    ]  # fmt: skip


def test_a_run_without_its_model_or_anything_else_still_reports(run):
    for name in ("metrics.csv", "manifest.json"):
        (run / name).unlink()
    _, found = made(run)
    assert any("Research use only, not for diagnosis." in text for _, text in found.all("footer"))
    assert len(found.all("svg", role="img")) == 3
    assert any("No manifest" in text for _, text in found.all("p"))


def test_a_foreign_file_reports(tmp_path):
    alone = tmp_path / "mine.csv"
    alone.write_text("case,label,prob_a,prob_b\nw,a,0.9,0.1\nx,b,.1,.9\ny,a,.1,.9\nz,a,.9,.1\n", "utf-8")
    source, found = made(alone, also=("md", "latex", "csv", "svg", "png"))
    assert (tmp_path / "report.html").is_file()
    assert "named the right class for 3, 75.0\u00a0%" in source
    assert found.data["case"] == ["w", "x", "y", "z"]
    assert any("No patient or group is told" in text for _, text in found.all("li"))
    assert "File of predictions" in [text for _, text in found.all("p", **{"class": "kicker"})]


def test_the_disclaimer_is_the_models_own(run):
    bundle = mb.bundle("brain_tumor_resnet34")
    (run / "configs").mkdir()
    metadata = json.loads((bundle.root / "configs" / "metadata.json").read_text(encoding="utf-8"))
    metadata["monai_brain"]["disclaimer"] = "Only a toy."
    (run / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    _, found = made(run)
    assert [text for _, text in found.all("p", **{"class": "disclaimer"})] == ["Only a toy."]


def test_whatever_is_written_in_a_run_stays_text(run):
    nasty = predicted(
        6,
        (NASTY, "b&<i>"),
        case=[f"{NASTY}{index}" for index in range(6)],
        patient_id=[f"{NASTY}{index}" for index in range(6)],
        split="test",
        source=[NASTY, "other"] * 3,
        model=NASTY,
        meta={"leakage": [NASTY] * 6},
    )
    write(nasty, run / "predictions.csv")
    source, found = made(run, also=("svg", "md", "latex", "csv"))
    assert len(found.all("script")) == 2
    assert "<script>alert" not in source
    assert found.all("title")[0][1] == f"Report on {NASTY}"
    assert found.data["case"] == [f"{NASTY}{index}" for index in range(6)]
    assert any("alert" in text for _, text in found.all("code"))
    assert not found.all("i", **{"class": None})


def test_no_place_and_no_person_is_told(run):
    given = predicted(
        source=["a", "b"] * 30, meta={"patient_name": ["Ann", "Bob"] * 30, "plane": ["x", "y"] * 30}
    )
    write(given, run / "predictions.csv")
    report(run, draws=50, also=("md", "csv"))
    for file in (run / "report.html", run / "report.md", *run.glob("tables/*")):
        text = file.read_text(encoding="utf-8")
        assert str(run.parent) not in text
        assert "secret" not in text
        assert "Ann" not in text
    assert "folds.json" in (run / "report.html").read_text(encoding="utf-8")
    assert "source: a" in (run / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("told", ["predictions", "manifest"])
def test_leakage_is_marked(told, run):
    _, found = made(run)
    assert not found.all("p", role="alert")
    if told == "predictions":
        write(predicted(meta={"leakage": ["record-wise"] * 60}), run / "predictions.csv")
    else:
        manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
        manifest["datalist"] = {"leakage": "record-wise"}
        (run / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    _, found = made(run)
    ((_, says),) = found.all("p", role="alert")
    assert "record-wise" in says
    assert "no such figure holds for new patients" in says


@pytest.fixture
def pictured(run):
    """The run with images of some of its cases: 0 to 9 are there, 3 cannot be read."""
    images = run / "images"
    images.mkdir()
    for index in range(10):
        pixels = np.zeros((40, 80), np.uint8)
        pixels[10:30, 10 + 5 * index :] = 200
        Image.fromarray(pixels).save(images / f"{index:03}.png")
    (images / "003.png").write_bytes(b"no image")
    names = [
        str(images / f"{index:03}.png") if index % 2 else f"images/{index:03}.png" for index in range(60)
    ]
    write(predicted(image=names), run / "predictions.csv")
    return run


def test_images_that_can_be_read_stand_inside(pictured):
    source, found = made(pictured)
    data = found.data
    assert len(data["pictures"]) == 9
    assert [row for row, place in enumerate(data["picture"]) if place >= 0] == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    kind, _, encoded = data["pictures"][data["picture"][0]].partition(",")
    assert kind == "data:image/webp;base64"
    grey = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("L"))
    assert grey.shape == (256, 256)
    assert grey[:50].max() < 20  # the image is twice as wide as high
    assert abs(int(grey[128, 160]) - 200) < 10
    assert str(pictured) not in source
    assert not made(pictured, images=False)[1].data["pictures"]


def test_of_too_many_images_the_mistakes_are_shown(pictured, monkeypatch):
    given = read(pictured / "predictions.csv")
    there = [index for index in range(10) if index != 3]
    wrong = [index for index in there if given.label[index] != given.predicted[index]]
    assert 0 < len(wrong) < len(there)
    monkeypatch.setattr(page, "MOST_PICTURES", len(wrong) + 2)  # 3 is there, and cannot be read
    data = made(pictured)[1].data
    assert set(wrong) <= {row for row, place in enumerate(data["picture"]) if place >= 0}
    assert len(data["pictures"]) <= len(wrong) + 2


def test_models_that_answer_one_image_share_its_picture(pictured):
    given = read(pictured / "predictions.csv")
    write(put_together([given.replaced(variant=name) for name in ("a", "b")]), pictured / "predictions.csv")
    data = made(pictured)[1].data
    assert len(data["pictures"]) == 9
    assert data["picture"][:60] == data["picture"][60:]


def test_the_same_run_gives_the_same_page(pictured, tmp_path):
    first, _ = made(pictured, tmp_path / "one.html")
    assert made(pictured, tmp_path / "two.html")[0] == first


def test_an_ablation_shows_every_variant_and_their_differences(ablation):
    source, found = made(ablation)
    assert found.all("h1")[0][1] == "Ablation of brain_tumor_resnet34"
    captions = [text for _, text in found.all("caption")]
    assert "Models and variants on the same images" in captions
    rows = [text for attributes, text in found.all("th", scope="row")]
    assert "resnet34_abc minus resnet34" in rows
    given = read(ablation / "predictions.csv")
    for name, stated in zip(VARIANTS, ("0.9771", "0.9833", "0.9882"), strict=True):
        own = given.where(variant=name, split="test")
        found_here = f"{(own.label == own.predicted).mean():.3f}"
        line = re.search(rf'<th scope="row">{name}</th>.*?</tr>', source)[0]
        assert f"<b>{found_here}</b>" in line
        assert stated in line
    assert set(found.data["arm"]) == set(VARIANTS)
    titles = [attributes["aria-label"] for attributes, _ in found.all("svg", role="img")]
    assert {"Accuracy of each model", "Training loss", "Validation accuracy"} <= set(titles)
    assert any("show resnet34_abc" in text for _, text in found.all("p"))  # the bundle's own settings


def test_what_cannot_be_reported_is_said(run, tmp_path):
    with pytest.raises(OutputError):
        report(run, run / "manifest.json" / "report.html")
    with pytest.raises(UnknownNameError, match="latex"):
        report(run, also=("latx",))
    (run / "metrics.csv").write_text("epoch,loss\n1,much\n", encoding="utf-8")
    with pytest.raises(DataError, match="no table of numbers by epoch"):
        report(run)
    with pytest.raises(DataError, match="does not exist"):
        report(tmp_path / "nowhere")
    unlabelled = Predictions(("a", "b"), ["x"], [[0.5, 0.5]])
    write(unlabelled, tmp_path / "unlabelled.csv")
    with pytest.raises(DataError, match="no labelled"):
        report(tmp_path / "unlabelled.csv")


def test_the_command_writes_the_page(run, tmp_path, capsys):
    assert main(["report", str(run), "--json", "--draws", "50"]) == 0
    assert json.loads(capsys.readouterr().out) == {"schema_version": 1, "path": str(run / "report.html")}
    words = ["report", str(run), "-o", str(tmp_path / "mine.html"), "--split", "validation", "--no-images"]
    assert main([*words, "--also", "md,csv", "--draws", "50"]) == 0
    assert "Of 20 validation images" in (tmp_path / "mine.html").read_text(encoding="utf-8")
    assert "Of 20 validation images" in (tmp_path / "mine.md").read_text(encoding="utf-8")
    assert (tmp_path / "tables" / "overall.csv").is_file()
    assert main(["report", str(run), "--also", "pdf"]) == 2
    (run / "predictions.csv").unlink()
    assert main(["report", str(run)]) == 3

"""Reports, read by a strict parser: whole, self-contained, escaped, and true to predictions.csv."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, confusion_matrix

import monai_brain as mb
from monai_brain.cli import main
from monai_brain.errors import DataError, OutputError
from monai_brain.evaluation.judge import evaluate
from monai_brain.evaluation.predictions import Predictions, read, write
from monai_brain.reporting import page
from monai_brain.reporting.page import report

CLASSES = ("glioma", "meningioma", "pituitary", "no_tumor")
VOID = {"meta", "img", "input"}
NASTY = "<script>alert('\"&')</script>"


class Strict(HTMLParser):
    """The elements of a page: (name, attributes, text inside); each must be closed in its turn."""

    def __init__(self, source):
        super().__init__()
        self.open, self.elements = [], []
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, name, attributes):
        element = [name, dict(attributes), ""]
        self.elements.append(element)
        if name not in VOID:
            self.open.append(element)

    def handle_endtag(self, name):
        assert self.open.pop()[0] == name

    def handle_data(self, text):
        for element in self.open:
            element[2] += text

    def all(self, name, **wanted):
        return [
            (attributes, text)
            for found, attributes, text in self.elements
            if found == name and all(attributes.get(key) == value for key, value in wanted.items())
        ]


def predictions(count=60, classes=CLASSES, seed=0, **columns):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, len(classes), count)
    logits = generator.normal(0, 1, (count, len(classes)))
    logits[np.arange(count), labels] += 1.5
    given = {
        "patient_id": [f"p{index // 4}" for index in range(count)],
        "split": ["test" if index < 40 else "validation" for index in range(count)],
        "fold": 0,
        "model": "brain_tumor_resnet34",
        **columns,
    }
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    cases = given.pop("case", [f"images/{index:03}.png" for index in range(count)])
    return Predictions(classes, cases, probs, logits=logits, label=[classes[i] for i in labels], **given)


@pytest.fixture
def run(tmp_path):
    """A run folder as a training leaves it, but for the model and its configs."""
    folder = tmp_path / "run"
    folder.mkdir()
    write(predictions(), folder / "predictions.csv")
    with (folder / "metrics.csv").open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["epoch", "loss", "train_accuracy", "validation_accuracy", "learning_rate"])
        for epoch in range(1, 7):
            rows.writerow([epoch, 2 / epoch, 0.5, "nan" if epoch % 2 else 0.6, 1e-3])
    manifest = {"schema_version": 1, "seed": 7, "packages": {"torch": "2.15"}, "command": ["train", NASTY]}
    manifest["outcome"] = {"epochs": 6, "best_epoch": 4, "selected_on": "validation accuracy"}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def made(*arguments, **options):
    source = report(*arguments, draws=50, **options).read_text(encoding="utf-8")
    return source, Strict(source)


def test_the_page_needs_nothing_but_itself(run):
    source, found = made(run)
    for _, attributes, _ in found.elements:
        for key in ("src", "href", "action", "data", "srcset", "poster"):
            assert attributes.get(key, "data:").startswith("data:")
    (style,) = found.all("style")
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert not found.all("link")
    (script,) = found.all("script")
    (policy,) = found.all("meta", **{"http-equiv": "Content-Security-Policy"})
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy[0]["content"]
    assert policy[0]["content"].startswith("default-src 'none';")
    assert "prefers-color-scheme: dark" in style[1]
    assert str(run.parent) not in source


def test_every_case_stands_in_the_page_with_what_was_said_of_it(run):
    _, found = made(run)
    given = read(run / "predictions.csv")
    rows = [text for attributes, text in found.all("th", scope="row") if text.startswith("images/")]
    assert rows == given.case.tolist()
    verdicts = [
        attributes.get("data-verdict") for attributes, _ in found.all("tr") if "data-split" in attributes
    ]
    assert verdicts == np.where(given.label == given.predicted, "right", "wrong").tolist()
    probabilities = [
        float(attributes["data-value"]) for attributes, _ in found.all("td") if "data-value" in attributes
    ]
    assert probabilities == given.probs.max(1).tolist()


def test_the_figures_are_those_of_the_test_images(run):
    _, found = made(run)
    test = read(run / "predictions.csv").where(split="test")
    matrix = [int(text) for _, text in found.all("b")]
    assert matrix[:16] == confusion_matrix(test.label, test.predicted).ravel().tolist()
    assert sum(matrix[16:]) == evaluate(test)["by_patient"]["cases"]
    accuracy = accuracy_score(test.label, test.predicted)
    figures = [text for attributes, text in found.all("span", **{"class": "figure"})]
    assert figures[0].startswith(f"{accuracy:.3f}")
    sentences = " ".join(text for _, text in found.all("p"))
    right = round(40 * accuracy)
    assert (
        f"Of 40 test images the model named the right class for {right}, {100 * accuracy:.1f} %" in sentences
    )
    assert (
        "trained for 6 epochs; the weights are those of epoch 4, selected on validation accuracy" in sentences
    )


def test_curves_are_drawn_from_what_the_run_recorded(run):
    _, found = made(run)
    lines = [attributes["points"].split() for attributes, _ in found.all("polyline")]
    bins = [one for one in evaluate(run / "predictions.csv")["calibration"]["reliability"] if one["cases"]]
    assert [len(line) for line in lines] == [2, len(bins), 6, 6, 3, 6]
    titles = [text for _, text in found.all("svg", role="img")]
    assert len(titles) == 4


def test_a_run_without_its_model_or_anything_else_still_reports(run, tmp_path):
    for name in ("metrics.csv", "manifest.json"):
        (run / name).unlink()
    _, found = made(run)
    assert any("Research use only, not for diagnosis." in text for _, text in found.all("footer"))
    assert len(found.all("svg", role="img")) == 1
    alone = tmp_path / "elsewhere" / "mine.csv"
    alone.parent.mkdir()
    probs = np.eye(2)[[0, 1, 1, 0]] * 0.8 + 0.1
    write(Predictions(("a", "b"), list("wxyz"), probs, label=["a", "b", "a", "a"]), alone)
    source, found = made(alone)
    assert (alone.parent / "report.html").is_file()
    assert "named the right class for 3, 75.0 %" in source
    assert [int(text) for _, text in found.all("b")] == [2, 1, 0, 1]


def test_the_disclaimer_is_the_models_own(run):
    bundle = mb.bundle("brain_tumor_resnet34")
    (run / "configs").mkdir()
    metadata = json.loads((bundle.root / "configs" / "metadata.json").read_text(encoding="utf-8"))
    metadata["monai_brain"]["disclaimer"] = "Only a toy."
    (run / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    _, found = made(run)
    assert [text for _, text in found.all("p", **{"class": "disclaimer"})] == ["Only a toy."]


def test_whatever_is_written_in_a_run_stays_text(run):
    nasty = predictions(
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
    source, found = made(run)
    assert len(found.all("script")) == 1
    assert "<script>alert" not in source
    assert found.all("title")[0][1] == f"Report on {NASTY}"
    assert [text for _, text in found.all("th", scope="row") if re.fullmatch(r".*</script>\d", text)] == [
        f"{NASTY}{index}" for index in range(6)
    ]
    assert any(NASTY in text for _, text in found.all("code"))
    assert not found.all("i", **{"class": None})


@pytest.mark.parametrize("told", ["predictions", "manifest"])
def test_leakage_is_marked(told, run):
    _, found = made(run)
    assert not found.all("p", role="alert")
    if told == "predictions":
        write(predictions(meta={"leakage": ["record-wise"] * 60}), run / "predictions.csv")
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
    write(predictions(image=names), run / "predictions.csv")
    return run


def test_images_that_can_be_read_stand_inside(pictured):
    source, found = made(pictured)
    pictures = [attributes["src"] for attributes, _ in found.all("img")]
    assert len(pictures) == 9
    kind, _, encoded = pictures[0].partition(",")
    assert kind == "data:image/jpeg;base64"
    grey = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))
    assert grey.shape == (96, 96)
    assert grey[:20].max() < 20  # the image is twice as wide as high
    assert abs(int(grey[48, 60]) - 200) < 10
    assert str(pictured) not in source
    assert not made(pictured, images=False)[1].all("img")


def test_of_too_many_images_the_mistakes_are_shown(pictured, monkeypatch):
    given = read(pictured / "predictions.csv")
    there = [index for index in range(10) if index != 3]
    wrong = [index for index in there if given.label[index] != given.predicted[index]]
    assert 0 < len(wrong) < len(there)
    monkeypatch.setattr(page, "MOST_PICTURES", len(wrong) + 1)
    source, _ = made(pictured)
    body = source.partition('<table id="cases">')[2]
    shown = [
        int(re.search(r"images/(\d{3})\.png", row).group(1)) for row in body.split("<tr") if "<img" in row
    ]
    assert set(wrong) <= set(shown)


def test_the_same_run_gives_the_same_page(pictured, tmp_path):
    first, _ = made(pictured, tmp_path / "one.html")
    assert made(pictured, tmp_path / "two.html")[0] == first


def test_what_cannot_be_reported_is_said(run, tmp_path):
    with pytest.raises(OutputError):
        report(run, run / "manifest.json" / "report.html")
    (run / "metrics.csv").write_text("epoch,loss\n1,much\n", encoding="utf-8")
    with pytest.raises(DataError, match="no table of numbers by epoch"):
        report(run)
    with pytest.raises(DataError, match="does not exist"):
        report(tmp_path / "nowhere")


def test_the_command_writes_the_page(run, tmp_path, capsys):
    assert main(["report", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"schema_version": 1, "path": str(run / "report.html")}
    words = ["report", str(run), "-o", str(tmp_path / "mine.html"), "--split", "validation", "--no-images"]
    assert main(words) == 0
    assert "Of 20 validation images" in (tmp_path / "mine.html").read_text(encoding="utf-8")
    (run / "predictions.csv").unlink()
    assert main(["report", str(run)]) == 3


DOCUMENT = """
const rows = JSON.parse(process.argv[1]).map((cells) => ({
  cells: cells.map((text) => ({ textContent: text, dataset: {} })), textContent: cells.join(" "),
  dataset: { verdict: cells[2], split: cells[3] }, hidden: false,
}));
const control = () => ({
  value: "", checked: false, on: {}, addEventListener(name, run) { this.on[name] = run; },
});
const head = (kind) => ({
  dataset: { kind }, sort: null, button: control(), querySelector() { return this.button; },
  getAttribute() { return this.sort; },
  setAttribute(_, to) { this.sort = to; },
  removeAttribute() { this.sort = null; },
});
const heads = [head("text"), head("number"), head("text"), head("text")];
let shown = rows;
const body = { rows, append(...sorted) { shown = sorted; } };
const parts = { cases: { tBodies: [body], tHead: { rows: [{ cells: heads }] } },
  wrong: control(), split: control(), find: control(), count: {} };
const bar = { hidden: true };
globalThis.document = { getElementById: (id) => parts[id], querySelector: () => bar };
const names = () => shown.filter((row) => !row.hidden).map((row) => row.cells[0].textContent).join("");
const said = [];
const say = () => said.push(`${names()} ${parts.count.textContent}`);
const sort = (column) => { heads[column].button.on.click(); say(); };
const set = (id, values) => { Object.assign(parts[id], values); parts[id].on.input(); say(); };
"""
STEPS = """
say(); sort(1); sort(1); sort(0);
set("wrong", { checked: true }); set("split", { value: "test" }); set("wrong", { checked: false });
set("split", { value: "" }); set("find", { value: " C " });
console.log(JSON.stringify([bar.hidden, ...said]));
"""


def test_the_table_sorts_and_filters():
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    rows = [
        ["b", "0.9", "right", "test"],
        ["a", "0.10", "wrong", "test"],
        ["d", "", "wrong", "validation"],
        ["c", "0.5", "right", "validation"],
    ]
    script = DOCUMENT + page._asset("page.js") + STEPS
    done = subprocess.run(
        [node, "-e", script, "--", json.dumps(rows)], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) == [
        False, "badc 4 of 4", "acbd 4 of 4", "bcad 4 of 4", "abcd 4 of 4",
        "ad 2 of 4", "a 1 of 4", "ab 2 of 4", "abcd 4 of 4", "c 1 of 4",
    ]  # fmt: skip

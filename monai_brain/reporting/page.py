"""One self-contained HTML page about a run: it needs no network, no server, and not even the model."""

from __future__ import annotations

import base64
import csv
import hashlib
import math
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from monai_brain import __version__, registry
from monai_brain.bundles import DISCLAIMER, Bundle
from monai_brain.errors import DataError
from monai_brain.evaluation.intervals import DRAWS
from monai_brain.evaluation.judge import evaluate
from monai_brain.evaluation.predictions import Predictions, read
from monai_brain.files import read_json, whole
from monai_brain.reporting import plots, tables, words
from monai_brain.reporting.markup import Markup, joined, tag, text
from monai_brain.reporting.pictures import pictures
from monai_brain.training.run_folder import MANIFEST_FILE, METRICS_FILE, PREDICTIONS_FILE, leakage

MOST_PICTURES = 1000
REPORT_FILE = "report.html"
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src"
_LEAKAGE = "Leakage"  # how the judge's note on it begins


def report(
    run: str | os.PathLike[str],
    path: str | os.PathLike[str] | None = None,
    *,
    split: str | None = None,
    images: bool = True,
    draws: int = DRAWS,
    seed: int = 0,
) -> Path:
    """Write one HTML page about a run; gives its path.

    Everything is computed from predictions.csv; training curves, manifest and images are shown where
    they are there.

    Args:
        run: a run folder, or a predictions file.
        path: the page; by default report.html in the run folder, or beside the predictions file.
        split: which split is measured; by default test where there is one.
        images: whether the images of the cases stand in the page, at most 1000 of them.
        draws: resamples behind each interval.
        seed: the same seed gives the same page.

    Raises:
        DataError: There are no labelled predictions.
        OutputError: The page cannot be written.
    """
    source = Path(run)
    folder = source if source.is_dir() else source.parent
    file = source / PREDICTIONS_FILE if source.is_dir() else source
    predictions = read(file)
    told = leakage(folder) if source.is_dir() else None
    metrics = evaluate(predictions, split=split, leakage=told, draws=draws, seed=seed)
    shown = pictures(predictions, folder, MOST_PICTURES) if images else {}
    page = _page(folder, predictions, metrics, shown)
    target = Path(path) if path is not None else folder / REPORT_FILE
    with whole(target) as stream:
        stream.write(page)
    return target


def _page(
    folder: Path, predictions: Predictions, metrics: Mapping[str, Any], shown: Mapping[int, str]
) -> str:
    manifest = _manifest(folder)
    bundle = _bundle(folder, str(metrics["model"]))
    disclaimer = DISCLAIMER if bundle is None else bundle.disclaimer
    name = " ".join(part for part in (metrics["model"] or "a classifier", metrics["variant"]) if part)
    script = _asset("page.js")
    hashed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    sections = {
        "title": text(f"Report on {name}"),
        "policy": f"{_POLICY} 'sha256-{hashed}'",
        "style": _asset("page.css"),
        "script": script,
        "disclaimer": text(disclaimer),
        "leakage": _leakage(metrics),
        "summary": joined(*(tag("p", sentence) for sentence in words.summary(metrics, manifest))),
        "notes": _notes(metrics),
        "figures": _figures(metrics),
        "curves": _curves(folder, metrics),
        "cases": _cases(predictions, shown),
        "manifest": _manifest_section(manifest, metrics, bundle),
        "version": text(__version__),
    }
    return Template(_asset("template.html")).substitute(sections)


def _figures(metrics: Mapping[str, Any]) -> Markup:
    level = f"{metrics['interval']['level']:.0%}"
    how = (
        f"Under each figure its {level} interval, from {metrics['interval']['draws']} resamples of "
        + ("groups of images that belong together" if metrics["cases"]["groups"] else "images")
        + "."
    )
    parts = [
        tag("p", how),
        tables.overall(metrics),
        tag("h3", "By class"),
        tables.per_class(metrics["by_case"]),
    ]
    matrices = [tables.confusion(metrics["by_case"], metrics["classes"], "images")]
    if metrics["by_patient"] is not None:
        patients = metrics["by_patient"]
        matrices.append(
            tables.confusion(patients, metrics["classes"], f"patients: {patients['rule_in_words']}")
        )
    parts += [tag("h3", "Confusion"), tag("div", *matrices, class_="side")]
    subgroups = tables.subgroups(metrics)
    if subgroups:
        parts += [tag("h3", "Subgroups"), subgroups]
    return joined(*parts)


def _curves(folder: Path, metrics: Mapping[str, Any]) -> Markup:
    found = metrics["calibration"]
    after = found["after_temperature"]
    says = f"Calibration error {found['expected_calibration_error']:.3f}, Brier score {found['brier']:.3f}."
    if after is not None:
        says += (
            " With temperatures fitted on the validation images: "
            f"{after['expected_calibration_error']:.3f} and {after['brier']:.3f}."
        )
    charts = [plots.reliability(found["reliability"])]
    epochs = _epochs(folder / METRICS_FILE)
    for title, columns in (
        ("Loss", {"loss": "training"}),
        ("Accuracy", {"train_accuracy": "training", "validation_accuracy": "validation"}),
        ("Learning rate", {"learning_rate": "learning rate"}),
    ):
        lines = [
            plots.Line(words_, [(row["epoch"], row[key]) for row in epochs if key in row], style)
            for (key, words_), style in zip(columns.items(), ("first", "second"), strict=False)
        ]
        charts.append(plots.training(title, lines))
    return joined(tag("p", says), tag("div", *charts, class_="side"))


def _cases(predictions: Predictions, shown: Mapping[int, str]) -> Markup:
    labelled = int((predictions.label >= 0).sum())
    says = f"{len(predictions)} images, {labelled} with a label, {len(shown)} shown."
    splits = sorted(set(predictions.split.tolist()) - {""})
    options = [tag("option", "all splits", value=""), *(tag("option", name, value=name) for name in splits)]
    controls = tag(
        "p",
        tag("label", tag("input", type="checkbox", id="wrong"), " mistakes only"),
        tag("label", "split ", tag("select", *options, id="split")) if len(splits) > 1 else "",
        tag("label", "find ", tag("input", type="search", id="find")),
        tag("output", "", id="count"),
        class_="controls",
        hidden=True,
    )
    return joined(tag("p", says), controls, tables.cases(predictions, shown))


def _leakage(metrics: Mapping[str, Any]) -> Markup:
    if not metrics["leakage"]:
        return Markup("")
    says = [note for note in metrics["notes"] if note.startswith(_LEAKAGE)] or [
        f"{_LEAKAGE}: {metrics['leakage']}."
    ]
    return tag("p", *says, class_="leakage", role="alert")


def _notes(metrics: Mapping[str, Any]) -> Markup:
    notes = [note for note in metrics["notes"] if not note.startswith(_LEAKAGE)]
    return tag("ul", *(tag("li", note) for note in notes), class_="notes") if notes else Markup("")


def _manifest_section(
    manifest: Mapping[str, Any], metrics: Mapping[str, Any], bundle: Bundle | None
) -> Markup:
    model = {
        "model": metrics["model"],
        "variant": metrics["variant"],
        "weights_sha256": metrics["weights_sha256"],
    }
    if bundle is not None:
        model |= {key: bundle.facts.get(key) for key in ("summary", "parameters", "licence", "paper")}
    parts = [tag("h3", "Model"), tables.facts(model)]
    if manifest:
        rest = {key: value for key, value in manifest.items() if key not in ("schema_version", "model")}
        parts += [tag("h3", "Run"), tables.facts(rest)]
    return joined(*parts)


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST_FILE
    content = read_json(path) if path.is_file() else {}
    return content if isinstance(content, dict) else {}


def _bundle(folder: Path, model: str) -> Bundle | None:
    """The bundle that the run is, else the registered one of that name, else none."""
    if (folder / "configs" / "metadata.json").is_file():
        return Bundle.at(folder)
    return registry.registry().bundles.get(model)


def _epochs(path: Path) -> list[dict[str, float]]:
    """The finite numbers of each epoch, by column; none where the run has no such file.

    Raises:
        DataError: The file holds something else than numbers.
    """
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]
    except (ValueError, TypeError, AttributeError, csv.Error) as error:
        raise DataError(f"{path}: is no table of numbers by epoch: {error}.") from error
    finite = [{key: value for key, value in row.items() if math.isfinite(value)} for row in rows]
    return [row for row in finite if "epoch" in row]


def _asset(name: str) -> str:
    return resources.files("monai_brain.reporting").joinpath(name).read_text(encoding="utf-8")

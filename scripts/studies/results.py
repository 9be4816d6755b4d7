"""docs/results.md out of what scripts/evidence.py has left: figures with intervals, and their commands."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_brain.data import datalist
from monai_brain.evaluation import predictions
from monai_brain.evaluation.judge import evaluate

Figures = dict[str, Any]
TUMOURS = ("glioma", "meningioma", "pituitary")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        claim: What is measured.
        step: Whose output holds it.
        paper: What the paper states, or "none".
        figure: Reads it from the folder of all outputs.
    """

    claim: str
    step: str
    paper: str
    figure: Callable[[Path], str]


def page(root: Path, data: Path, names: Sequence[str], command: str) -> str:
    """The whole page.

    Args:
        root: The folder that scripts/evidence.py has filled.
        data: The folder of the sets.
        names: All steps, in order.
        command: The command that filled it.
    """
    records = {name: root / "done" / f"{name}.json" for name in names}
    done = {
        name: json.loads(path.read_text(encoding="utf-8")) for name, path in records.items() if path.is_file()
    }
    lines = [
        "# Results",
        "",
        "Made by `scripts/evidence.py` from real images; do not edit by hand.",
        "",
        "```bash",
        command,
        "```",
        "",
        "Intervals are of 95 %, drawn by patient and not by slice. A row that is missing was not run.",
        "",
        "| measured | the paper | here |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {row.claim} | {row.paper} | {row.figure(root)} |" for row in ROWS if row.step in done]
    lines += ["", "## The commands", ""]
    for name, record in done.items():
        words = " ".join(word.replace(str(data), "DATA").replace(f"{root}/", "") for word in record["words"])
        lines += [f"- `{name}`, {record['seconds']} s: `monai-brain {words}`"]
    return "\n".join(lines) + "\n"


def _metrics(root: Path, name: str) -> Figures:
    found: Figures = json.loads((root / name / "metrics.json").read_text(encoding="utf-8"))
    return found


def _interval(figure: Figures) -> str:
    if figure.get("low") is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


def _accuracy(name: str, level: str = "by_case") -> Callable[[Path], str]:
    return lambda root: _interval(_metrics(root, name)[level]["overall"]["accuracy"])


def _among(name: str) -> Callable[[Path], str]:
    """The accuracy on the tumours, all classes being open, and when the answer must be a tumour."""

    def told(root: Path) -> str:
        rows = predictions.read(root / name / "predictions.csv").where(split="test")
        columns = [rows.classes.index(one) for one in TUMOURS]
        tumours = rows.where(label=TUMOURS)
        open_ = evaluate(tumours)["by_case"]["overall"]["accuracy"]
        best = np.asarray(columns)[tumours.probs[:, columns].argmax(axis=1)]
        return f"{_interval(open_)}; among the three {(best == tumours.label).mean():.3f}"

    return told


def _mean_of_seeds(pattern: str) -> Callable[[Path], str]:
    def told(root: Path) -> str:
        folders = sorted(path.parent for path in root.glob(f"{pattern}/metrics.json"))
        found = [_metrics(root, path.name)["by_case"]["overall"]["accuracy"]["value"] for path in folders]
        spread = f", {min(found):.3f} to {max(found):.3f}" if len(found) > 1 else ""
        return f"{statistics.mean(found):.3f} (seeds: {len(found)}{spread})"

    return told


def _gap(root: Path) -> str:
    difference = _metrics(root, "brain_strong")["beside"]["kfold"]["pairs"][0]["difference"]["accuracy"]
    points = [100 * difference[key] for key in ("difference", "low", "high")]
    return f"{points[0]:+.1f} points ({points[1]:+.1f} to {points[2]:+.1f})"


def _error_after_temperature(name: str) -> Callable[[Path], str]:
    def told(root: Path) -> str:
        found = _metrics(root, name)["calibration"]
        after = found["after_temperature"]["expected_calibration_error"]
        return f"{after:.3f}, before {found['expected_calibration_error']:.3f}"

    return told


def _shuffled(root: Path) -> str:
    found = _metrics(root, "brain_shuffled")["controls"]["shuffled_labels"]
    said = "at chance" if found["at_chance"] else "not at chance"
    return f"{_interval(found['balanced_accuracy'])}, chance {found['chance']['balanced_accuracy']}: {said}"


def _at_half(root: Path) -> str:
    points = _metrics(root, "brain_elsewhere")["coverage"]["points"]
    half = min(points, key=lambda point: abs(point["coverage"] - 0.5))
    return f"{half['accuracy']:.3f} of the surest {half['cases']}"


def _pair(name: str) -> Callable[[Path], str]:
    def told(root: Path) -> str:
        pair = _metrics(root, name)["comparison"]["pairs"][0]
        found = pair["difference"]["accuracy"]
        points = [100 * found[key] for key in ("difference", "low", "high")]
        p = pair["mcnemar"]["p"]
        return f"{points[0]:+.1f} points ({points[1]:+.1f} to {points[2]:+.1f}), McNemar p {p:.2g}"

    return told


def _by_loss(name: str, source: str) -> Callable[[Path], str]:
    """The accuracy on cut films by tercile of what is lost."""

    def told(root: Path) -> str:
        content = datalist.read(root / f"{source}.json")
        loss = {str(item["image"]): float(item["loss"]) for item in content["training"] if item.get("loss")}
        rows = predictions.read(root / name / "predictions.csv").where(split="test")
        rows = rows.where(label="incomplete")
        right = rows.predicted == rows.label
        lost = np.asarray([_lost(loss, str(image)) for image in rows.image])
        edges = np.quantile(lost, (1 / 3, 2 / 3))
        third = np.digitize(lost, edges)
        return ", ".join(
            f"{right[third == number].mean():.3f} (loss {lost[third == number].min():.1%} to "
            f"{lost[third == number].max():.1%})"
            for number in range(3)
        )

    return told


def _lost(loss: dict[str, float], image: str) -> float:
    return next(value for path, value in loss.items() if Path(path).name == Path(image).name)


def _pointing(root: Path) -> str:
    found = json.loads((root / "brain_pointing" / "localisation.json").read_text(encoding="utf-8"))
    return "; ".join(_pointed(found))


def _pointed(found: Figures) -> Iterator[str]:
    for name in ("model", "random weights", "image centre", "grid ceiling"):
        yield f"{name} {_interval(found[name]['pointing'])}"


ROWS = (
    Row(
        "improved ResNet34, four classes, five folds by image (record-wise)",
        "brain_strong", "0.988", _accuracy("brain_strong/kfold"),
    ),
    Row("the same by patient", "brain_strong", "none", _accuracy("brain_strong")),
    Row("the same, each patient once", "brain_strong", "none", _accuracy("brain_strong", "by_patient")),
    Row("the same by patient, the three tumours", "brain_strong", "none", _among("brain_strong")),
    Row("what splitting by image adds", "brain_strong", "none", _gap),
    Row(
        "calibration error after temperature, by patient",
        "brain_strong", "none", _error_after_temperature("brain_strong"),
    ),
    Row("images from elsewhere, four classes", "brain_elsewhere", "none", _accuracy("brain_elsewhere")),
    Row("images from elsewhere, tumours", "brain_elsewhere", "none", _among("brain_elsewhere")),
    Row("images from elsewhere, the surest half", "brain_elsewhere", "none", _at_half),
    Row(
        "improved ResNet34 against ResNet34, by patient",
        "brain_against_plain", "+1.1 points", _pair("brain_against_plain"),
    ),
    Row("shuffled labels, balanced accuracy", "brain_shuffled", "none", _shuffled),
    Row("pointing game", "brain_pointing", "none", _pointing),
    Row(
        "EfficientNet-B2, three classes, 8 : 2 by image, from scratch",
        "regions_0", "0.9935 (ImageNet weights)", _mean_of_seeds("regions_[0-9]"),
    ),
    Row(
        "the same, weights chosen on the test part",
        "regions_0_on_test", "0.9935 (ImageNet weights)", _mean_of_seeds("regions_[0-9]_on_test"),
    ),
    Row(
        "EfficientNet-B2, three classes, five folds by patient",
        "regions_strong", "none", _accuracy("regions_strong"),
    ),
    Row(
        "PARB + KAN, complete or cut, five folds of women",
        "films_strong", "0.915", _accuracy("films_strong"),
    ),
    Row("cut films found, by tercile of loss", "films_strong", "none", _by_loss("films_strong", "women")),
)  # fmt: skip

"""Quality control over many examinations: how often images are incomplete, by month, view, side and station.

It is made of what `predict` writes: predictions.csv, results.jsonl and, with --exam, exams.jsonl. No truth is
needed: the rates are of what the model says, and the page says so.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from monai_brain import registry
from monai_brain.bundles import Bundle
from monai_brain.errors import ConfigurationError, DataError
from monai_brain.evaluation.intervals import DRAWS
from monai_brain.evaluation.prediction_rows import Predictions
from monai_brain.evaluation.predictions import read
from monai_brain.evaluation.rates import rate
from monai_brain.files import whole, write_json
from monai_brain.inference import exam as exams
from monai_brain.inference.writers import PREDICTIONS, lines
from monai_brain.reporting.document import document
from monai_brain.reporting.markup import Markup, joined, tag
from monai_brain.reporting.sheet import Estimate, Table, html

PAGE_FILE = "qa.html"
BY = {"month": "month", "view_position": "view", "laterality": "side", "station": "station"}
NOT_STATED = "not stated"


def quality(
    folder: str | os.PathLike[str],
    model: str | os.PathLike[str] | Bundle | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Any]:
    """Counts and rates of the answers in a folder that `predict` has written.

    Args:
        folder: The folder.
        model: Whose rule says which class is a spoiled image; by default the registered model that answered.
        draws: Bootstrap draws; whole examinations are drawn, not images.
        seed: Of the draws.

    Returns:
        "images" and "examinations" with counts; "rate" and, under "by", a list for each of month, view, side
        and station: value, images, abstained, examinations, spoiled, rate {value, low, high, method}.

    Raises:
        ConfigurationError: The model that answered judges no quality, or is not known here.
        DataError: There are no predictions.
    """
    place = Path(folder)
    rows = read(place / PREDICTIONS)
    bundle = _bundle(rows, model)
    spoiled = str(exams.rule(bundle)["spoiled_by"])
    if spoiled not in rows.classes:
        raise DataError(f"{place / PREDICTIONS} has no class {spoiled!r}. Expected answers of {bundle.name}.")
    statuses = Counter(str(line["status"]) for line in lines(place))
    by = {said: list(_strata(rows, name, spoiled, draws, seed)) for name, said in BY.items()}
    return {
        "schema_version": 1,
        "model": bundle.name,
        "weights_sha256": sorted({str(one) for one in rows.weights_sha256} - {""}),
        "spoiled_by": spoiled,
        "inputs": dict(sorted(statuses.items())),
        **_figures(rows, spoiled, draws, seed),
        "verdicts": _verdicts(place),
        "by": by,
        "disclaimer": bundle.disclaimer,
    }


def write(found: Mapping[str, Any], path: Path) -> Path:
    """Write the page, and qa.json beside it; gives the page's path.

    Raises:
        OutputError: They cannot be written.
    """
    with whole(path) as stream:
        stream.write(page(found))
    write_json(path.with_suffix(".json"), dict(found))
    return path


def page(found: Mapping[str, Any]) -> str:
    """The figures as one HTML page."""
    spoiled, given = str(found["spoiled_by"]), found["rate"]
    lead = (
        f"Of {found['images']:,} images the model called {found['spoiled']:,} {spoiled}: "
        f"{Estimate.of(given)}. From {found['abstained']:,} more it abstained."
    )
    says = (
        "The rates are of what the model says, not of what a reader would say: a change says that something "
        "changed, not what. Intervals are of 95 %; " + (f"{given['method']}." if given["method"] else "")
    )
    summary = joined(tag("p", lead, class_="lead"), tag("p", says), html(_counts(found)))
    sections = {"summary": ("Summary", tag("div", summary, class_="prose"))}
    for said, strata in found["by"].items():
        sections[said] = (f"By {said}", _section(said, strata, spoiled))
    deck = f"{found['images']:,} images \u00b7 {found['examinations']:,} examinations \u00b7 {found['model']}"
    return document("Quality of mammograms", "Quality control", deck, str(found["disclaimer"]), sections)


def _bundle(rows: Predictions, model: str | os.PathLike[str] | Bundle | None) -> Bundle:
    if model is not None:
        return registry.bundle(model)
    named = sorted({str(name) for name in rows.model})
    if len(named) != 1:
        raise ConfigurationError(f"The answers are of {len(named)} models: {', '.join(named)}. Expected one.")
    return registry.bundle(named[0])


def _figures(rows: Predictions, spoiled: str, draws: int, seed: int) -> dict[str, Any]:
    answered = rows.subset(~rows.abstain)
    bad = np.asarray(answered.column("predicted") == spoiled)
    groups = rows.groups
    return {
        "images": len(answered),
        "abstained": int(rows.abstain.sum()),
        "examinations": len(rows) if groups is None else len(np.unique(groups)),
        "spoiled": int(bad.sum()),
        "rate": rate(bad, answered.groups, draws=draws, seed=seed).as_json(),
    }


def _strata(rows: Predictions, name: str, spoiled: str, draws: int, seed: int) -> Iterator[dict[str, Any]]:
    if name not in rows.meta:
        return
    column = rows.meta[name]
    for value in sorted({str(one) for one in column}, key=lambda one: (one == "", one)):
        yield {"value": value, **_figures(rows.subset(column == value), spoiled, draws, seed)}


def _verdicts(folder: Path) -> dict[str, Any] | None:
    """How many examinations got which verdict, and which views they lack; None where --exam was not given."""
    path = folder / "exams.jsonl"
    if not path.is_file():
        return None
    verdicts, missing = Counter[str](), Counter[str]()
    with path.open(encoding="utf-8") as stream:
        for text in stream:
            line = json.loads(text)
            verdicts[line["verdict"]] += 1
            missing.update(line["missing"])
    return {"verdict": dict(sorted(verdicts.items())), "missing": dict(sorted(missing.items()))}


def _counts(found: Mapping[str, Any]) -> Table:
    said = [[f"inputs {status}", count] for status, count in found["inputs"].items()]
    verdicts = found["verdicts"] or {"verdict": {}, "missing": {}}
    said += [[f"examinations {name}", count] for name, count in verdicts["verdict"].items()]
    said += [[f"examinations without {name}", count] for name, count in verdicts["missing"].items()]
    return Table("counts", "What was given", ["", "count"], said)


def _section(said: str, strata: list[dict[str, Any]], spoiled: str) -> Markup:
    if not any(one["value"] for one in strata):
        return tag("p", f"No image states its {said}.")
    header = [said, "images", "examinations", "abstained", spoiled, f"rate of {spoiled}"]
    cells = [
        [
            one["value"] or NOT_STATED,
            *(one[key] for key in ("images", "examinations", "abstained", "spoiled")),
            Estimate.of(one["rate"]),
        ]
        for one in strata
    ]
    return html(Table(f"by_{said}", f"By {said}", header, cells, bars=True))

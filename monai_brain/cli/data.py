"""data index, data split, data landmarks, data join, data phantom, data incomplete."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from monai_brain.data import datalist as datalists
from monai_brain.errors import ConfigurationError, DataError


def index(options: argparse.Namespace) -> int:
    """Write the datalist of a dataset; 3 if files are bad or missing, each named in a line."""
    from monai_brain.data.datasets import index_dataset
    from monai_brain.data.index import incomplete

    chosen: dict[str, Any] = {}
    if options.column:
        chosen["columns"] = _named("--column", options.column)
    if options.labels:
        chosen["labels"] = options.labels
    done = index_dataset(
        options.kind,
        options.path,
        cache=None if options.no_cache else f"{options.output}.index.sqlite",
        workers=options.workers,
        classes=_named("--map", options.map),
        progress=True,
        **chosen,
    )
    found = done.datalist
    datalists.write(found, options.output)
    lines = [f"{entry['image']}: {entry['reason']}" for entry in found["rejected"]]
    lines += [line for line in [incomplete(found)] if line]
    for line in lines:
        print(line, file=sys.stderr)
    summary = found["summary"]
    _say(
        options,
        found,
        f"{summary['images']} images, {summary['patients']} patients, {summary['groups']} groups in "
        f"{options.output}; {summary['rejected']} rejected, {len(found.get('left_out', {}))} left out; "
        f"{done.opened} files opened, {done.cached} known",
        {"summary": summary, "opened": done.opened, "cached": done.cached},
    )
    return DataError.exit_status if lines else 0


def split(options: argparse.Namespace) -> None:
    """Write a datalist with folds, after showing what stands in each."""
    from monai_brain.data import draws, splits

    source = datalists.read(options.file)
    if options.draw:
        source = draws.draw(source, _numbers("--draw", options.draw), options.seed)
    found = splits.split(
        source,
        options.scheme,
        folds=options.folds,
        seed=options.seed,
        allow_leakage=options.allow_leakage,
        validation=options.validation,
        rounding=options.rounding,
    )
    if not options.json:
        print(splits.table(found))
    datalists.write(found, options.output)
    _say(options, found, f"written to {options.output}")


def landmarks(options: argparse.Namespace) -> None:
    """Write the landmarks of the images that train in a fold."""
    from monai_brain.training.landmarks import learn_landmarks

    found = learn_landmarks(options.file, options.output, options.fold, progress=True)
    if options.json:
        print(json.dumps(found))
    else:
        print(f"landmarks of {found['images']} images in {options.output}")


def join(options: argparse.Namespace) -> None:
    """Write one datalist of several."""
    from monai_brain.data import joining

    found = joining.join(options.files, duplicates=options.duplicates)
    datalists.write(found, options.output)
    parts = ", ".join(f"{part['images']} of {part['name']}" for part in found["joined_sets"])
    left_out = sum(part["copies_left_out"] for part in found["joined_sets"])
    tied = found["groups_tied_across_sets"]
    _say(
        options,
        found,
        f"{parts} in {options.output}; {left_out} copies left out, "
        f"{tied} pairs of near duplicates tied together",
        {"joined_sets": found["joined_sets"], "groups_tied_across_sets": tied},
    )


def phantom(options: argparse.Namespace) -> None:
    """Write phantoms and their datalist."""
    from monai_brain.data import phantoms

    classes = options.classes.split(",") if options.classes else None
    path = phantoms.write(options.kind, options.output, options.n, options.seed, options.size, classes)
    _say(options, datalists.read(path), f"{options.n} phantoms; their datalist is {path}")


def incomplete(options: argparse.Namespace) -> int:
    """Write complete and incomplete mammograms; 3 if files could not be used, each named in a line."""
    from monai_brain.data import completeness_set

    found = completeness_set.write(
        options.source,
        options.output,
        n=options.n,
        seed=options.seed,
        size=options.size,
        workers=options.workers,
        progress=True,
        contact_sheet=options.contact_sheet,
    )
    for entry in found["rejected"]:
        print(f"{entry['image']}: {entry['reason']}", file=sys.stderr)
    made = found["made"]
    control = made["nuisance"]
    if control is None:
        said = "not possible, a part is too small"
    else:
        verdict = "at or below" if control["accuracy"] <= control["limit"] else "ABOVE"
        limit = f"{verdict} {control['limit']:.2f}"
        said = f"accuracy {control['accuracy']:.3f} on {control['test']} test images, {limit}"
    _say(
        options,
        found,
        f"{len(found['training'])} images of {made['films']} films of {made['women']} women in "
        f"{options.output}; {len(found['left_out'])} films left out, {len(found['rejected'])} rejected\n"
        f"nuisance control: {said}",
        {"made": made},
    )
    return DataError.exit_status if found["rejected"] else 0


def _named(option: str, pairs: Sequence[str]) -> dict[str, str]:
    bad = [pair for pair in pairs if not all(pair.partition("="))]
    if bad:
        raise ConfigurationError(f"{option} {bad[0]}: expected {option} NAME=NAME.")
    return {left: right for left, _, right in (pair.partition("=") for pair in pairs)}


def _numbers(option: str, pairs: Sequence[str]) -> dict[str, int]:
    named = _named(option, pairs)
    bad = [name for name, number in named.items() if not number.isdecimal()]
    if bad:
        raise ConfigurationError(f"{option} {bad[0]}={named[bad[0]]}: expected {option} CLASS=NUMBER.")
    return {name: int(number) for name, number in named.items()}


def _say(
    options: argparse.Namespace, datalist: dict[str, Any], text: str, more: dict[str, Any] | None = None
) -> None:
    if not options.json:
        print(text)
        return
    counts = dict.fromkeys(datalist["labels"], 0)
    for item in [*datalist["training"], *datalist.get("testing", [])]:
        counts[item["class_name"]] += 1
    print(json.dumps({"schema_version": 1, "path": str(options.output), "images": counts} | (more or {})))

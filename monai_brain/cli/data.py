"""data index, data split, data phantom."""

from __future__ import annotations

import argparse
import json
from typing import Any

from monai_brain.data import datalist as datalists


def index(options: argparse.Namespace) -> None:
    """Write the datalist of a dataset."""
    from monai_brain.data.datasets import read_dataset

    found = read_dataset(options.kind, options.path)
    datalists.write(found, options.output)
    _say(
        options, found, f"{len(found['training']) + len(found.get('testing', []))} images in {options.output}"
    )


def split(options: argparse.Namespace) -> None:
    """Write a datalist with folds, after showing what stands in each."""
    from monai_brain.data import splits

    found = splits.split(
        datalists.read(options.file),
        options.scheme,
        folds=options.folds,
        seed=options.seed,
        allow_leakage=options.allow_leakage,
    )
    if not options.json:
        print(splits.table(found))
    datalists.write(found, options.output)
    _say(options, found, f"written to {options.output}")


def phantom(options: argparse.Namespace) -> None:
    """Write phantoms and their datalist."""
    from monai_brain.data import phantoms

    classes = options.classes.split(",") if options.classes else None
    path = phantoms.write(options.kind, options.output, options.n, options.seed, options.size, classes)
    _say(options, datalists.read(path), f"{options.n} phantoms; their datalist is {path}")


def _say(options: argparse.Namespace, datalist: dict[str, Any], text: str) -> None:
    if not options.json:
        print(text)
        return
    counts = dict.fromkeys(datalist["labels"], 0)
    for item in [*datalist["training"], *datalist.get("testing", [])]:
        counts[item["class_name"]] += 1
    print(json.dumps({"schema_version": 1, "path": str(options.output), "images": counts}))

"""A data set of complete and incomplete mammograms, made of whole ones: split first, then drawn.

Women are dealt to the test, validation and training part before any image is made, so that no variant
of one woman's films stands on two sides. Every image has its own generator, so neither the order nor
the number of workers changes a byte.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from monai_brain import __version__
from monai_brain.data import breast, datalist, films, nuisance
from monai_brain.data.completeness import COMPLETE, INCOMPLETE, LOSSES, Variant, make
from monai_brain.data.completeness_card import card, counts
from monai_brain.data.completeness_plan import by_woman, drawn
from monai_brain.data.contact_sheet import sheet
from monai_brain.data.cuts import CUTS
from monai_brain.data.formats import read_item
from monai_brain.data.schema import SCHEMA_VERSION, Datalist, Item
from monai_brain.errors import ConfigurationError, DataError
from monai_brain.files import sha256, whole

LABELS = (COMPLETE, INCOMPLETE)
NO_FAULT = "none"
_SMALLEST, _LARGEST = 32, 2048
_ON_SHEET = 20


def write(
    source: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    n: int = 1000,
    seed: int = 0,
    size: int = 256,
    workers: int | None = None,
    progress: bool = False,
    contact_sheet: bool = False,
) -> Datalist:
    """The datalist of `n` images, half of them complete, that were written below `folder`.

    Beside datalist.json stand images/, README.md, which says how all was made, and on request
    contact_sheet.png. The datalist's "made" holds the same facts for programs, "rejected" the files
    that could not be used, "left_out" the films whose outline is cut already.

    Args:
        source: A datalist, a table, mini-MIAS or a folder of whole mammograms; see `films.read`.
        folder: Where to write.
        n: How many images.
        seed: The same seed gives the same bytes.
        size: The sides of the images in pixels.
        workers: How many films are worked on at a time; as many as there are processors by default.
        progress: Show bars on a terminal.
        contact_sheet: Write the sheet too.

    Raises:
        ConfigurationError: The numbers make no sense, a film's woman is unknown, or there are too few.
        DataError: Nothing that can be used is there.
    """
    _check(n, seed, size, workers)
    place = Path(folder).resolve()
    found = films.read(source, workers, progress)
    rejected, left_out = list(found["rejected"]), dict(found["left_out"])
    usable = by_woman(_usable(found["training"], rejected, left_out, workers, progress), seed)
    plan: dict[int, list[tuple[int, Variant]]] = defaultdict(list)
    for index, (number, variant) in enumerate(drawn(usable, n, seed)):
        plan[number].append((index, variant))

    def images(number: int) -> list[tuple[int, Item]]:
        image = read_item(usable[number])
        body = breast.find(image)
        return [
            (index, _written(place, usable[number], body, index, variant, seed, size))
            for index, variant in plan[number]
        ]

    made = [pair for pairs in _each(images, sorted(plan), workers, progress, "draw") for pair in pairs]
    items = [item for _, item in sorted(made, key=lambda pair: pair[0])]
    content: Datalist = {
        "schema_version": SCHEMA_VERSION,
        "name": f"completeness of {found.get('name') or 'mammograms'}",
        "labels": list(LABELS),
        "scheme": "holdout",
        "folds": 1,
        "seed": seed,
        "leakage": None,
        "rejected": sorted(rejected, key=lambda entry: (entry["image"], entry["reason"])),
        "left_out": dict(sorted(left_out.items())),
        "training": items,
        "testing": [],
    }
    content["made"] = {
        "by": f"monai_brain {__version__}",
        "seed": seed,
        "size": size,
        "losses": list(LOSSES),
        "films": len(usable),
        "women": len({film["group"] or film["patient_id"] for film in usable}),
        "counts": counts(items),
        "nuisance": _nuisance(content, workers),
    }
    datalist.write(content, place / "datalist.json")
    with whole(place / "README.md") as stream:
        stream.write(card(content))
    if contact_sheet:
        sheet(_sheet_rows(items), place / "contact_sheet.png")
    return datalist.read(place / "datalist.json")


def _check(n: int, seed: int, size: int, workers: int | None) -> None:
    if n < len(LABELS) * len(CUTS):
        raise ConfigurationError(
            f"n is {n}. Expected at least {len(LABELS) * len(CUTS)}, one for each fault."
        )
    if seed < 0:
        raise ConfigurationError(f"seed is {seed}. Expected a whole number of at least 0.")
    if not _SMALLEST <= size <= _LARGEST:
        raise ConfigurationError(f"size is {size}. Expected {_SMALLEST} to {_LARGEST} pixels.")
    if workers is not None and workers < 1:
        raise ConfigurationError(f"workers is {workers}. Expected at least 1.")


def _usable(
    items: Sequence[Item],
    rejected: list[dict[str, str]],
    left_out: dict[str, str],
    workers: int | None,
    progress: bool,
) -> list[Item]:
    """The films that show one whole breast; the others go to `rejected` or `left_out`."""

    def judged(item: Item) -> tuple[str, str]:
        image = read_item(item)
        try:
            return breast.find(image).cut, ""
        except DataError as error:
            return "", str(error)

    usable = []
    for item, (cut, reason) in zip(items, _each(judged, items, workers, progress, "segment"), strict=True):
        if reason:
            rejected.append({"image": item["film"], "reason": reason})
        elif cut:
            left_out[item["film"]] = cut
        else:
            usable.append(item)
    if not usable:
        raise DataError(
            f"None of {len(items)} mammograms shows one whole breast: {len(rejected)} rejected, "
            f"{len(left_out)} left out as cut already."
        )
    return usable


def _written(
    place: Path, film: Item, body: breast.Breast, index: int, variant: Variant, seed: int, size: int
) -> Item:
    made = make(body, variant, size, np.random.default_rng([seed, 1, index]))
    path = place / "images" / f"{index:05d}.png"
    content = cv2.imencode(".png", made.image)[1].tobytes()
    with whole(path, "wb") as stream:
        stream.write(content)
    return {
        "image": str(path),
        "label": LABELS.index(variant.class_name),
        "class_name": variant.class_name,
        "patient_id": film["patient_id"],
        "group": film["group"],
        "source": film.get("source"),
        **{key: film[key] for key in films.VIEWS if film.get(key)},
        "sha256": sha256(path),
        "fold": film["fold"],
        "validates": list(film["validates"]),
        "fault": variant.fault if variant.class_name == INCOMPLETE else NO_FAULT,
        "loss": round(made.loss, 4),
        "film": film["film"],
        "turn": round(made.turn, 2),
        "chest_wall": made.chest_wall,
    }


def _each(
    work: Callable[[Any], Any], things: Sequence[Any], workers: int | None, progress: bool, title: str
) -> list[Any]:
    """What `work` makes of each thing, in their order, with a bar."""
    # Threads: decoders, OpenCV and hashes let go of the interpreter's lock, and nothing has to be started.
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        try:
            results = pool.map(work, things)
            bar = tqdm(results, title, len(things), disable=None if progress else True, delay=2, unit="film")
            return list(bar)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _nuisance(content: Datalist, workers: int | None) -> dict[str, Any] | None:
    """What the control says, or None where a part is too small to hold both classes."""
    try:
        return {**nuisance.control(content, 0, workers=workers), "limit": nuisance.LIMIT}
    except ConfigurationError:
        return None


def _sheet_rows(items: Sequence[Item]) -> dict[str, list[dict[str, Any]]]:
    rows = {}
    for fault in (NO_FAULT, *CUTS):
        mine = sorted((item for item in items if item["fault"] == fault), key=lambda item: item["loss"])
        shown = min(_ON_SHEET, len(mine))
        some = [mine[i * len(mine) // shown] for i in range(shown)]
        title = COMPLETE if fault == NO_FAULT else f"{INCOMPLETE}: {fault}"
        rows[title] = [
            {"image": i["image"], "caption": f"{i['loss']:.1%} {Path(i['image']).stem}"} for i in some
        ]
    return rows

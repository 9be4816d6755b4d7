"""Training on the labels: from the served weights, judged on patients never trained on, served if better."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from monai_brain.bundles import Bundle
from monai_brain.data import datalist as datalists
from monai_brain.data.headers import read_header
from monai_brain.errors import ConfigurationError, DataError, UnknownNameError
from monai_brain.files import read_json, write_json
from monai_brain.inference.names import Names
from monai_brain.integrations.label import rounds
from monai_brain.integrations.label.answering import Answering, Wish, series_files
from monai_brain.integrations.label.served import FIRST, Score, Served
from monai_brain.training.workflow import train

SPLIT_FILE = "split.json"
DATALIST_FILE = "datalist.json"
SETTINGS = ("accumulate", "batch_size", "learning_rate", "max_epochs", "num_workers", "seed")
_WORK = "training"


def labelled_items(
    labels: Iterable[tuple[Path, Mapping[str, Any]]], studies: Path | None
) -> tuple[list[rounds.Labelled], int]:
    """What can be trained on, and how many labelled images cannot: a volume whose label names no slice.

    The patient is the one that the label names (`patient_id`), the one of the studies' datalist.json, the
    one of the DICOM header under a hash, or else each image counts as a patient of its own.

    Args:
        labels: For each image its path and what its label says.
        studies: The folder of the studies, where there is one.
    """
    stated = _stated_patients(studies)
    names = Names("hashed")
    found: list[rounds.Labelled] = []
    left_out = 0
    for path, info in labels:
        number = Wish.of(dict(info)).slice
        image, frame = path, None
        try:
            if path.is_dir():
                files = series_files(path)
                chosen = 0 if len(files) == 1 else number
                if chosen is None or chosen >= len(files):
                    raise DataError("the label names no slice of the series")
                image = files[chosen]
            header = read_header(image)
            if header.frames > 1:
                if number is None or number >= header.frames:
                    raise DataError("the label names no slice of the volume")
                frame = number
        except DataError:
            left_out += 1
            continue
        known = header.identifiers.get("patient")
        patient = (
            info.get("patient_id")
            or stated.get(str(path.resolve()))
            or (names.hashed("patient", known) if known else names.hashed("path", str(path)))
        )
        item = {"image": str(image), "class_name": str(info["label"]), "patient_id": str(patient)}
        found.append(item if frame is None else item | {"frame": frame})
    return found, left_out


def run_round(
    served: Served, items: list[rounds.Labelled], settings: Mapping[str, Any], device: str | None = None
) -> dict[str, Any]:
    """Train once, hold the result against the version that is served, and serve it if it is better.

    Args:
        served: The model.
        items: What is labelled; classes of other models are left out.
        settings: Values of the recipe's keys `SETTINGS`.
        device: Where the versions are judged.

    Raises:
        ConfigurationError: There are too few labels.
        UnknownNameError: A setting that a round does not take.
    """
    for key in settings:
        if key not in SETTINGS:
            raise UnknownNameError("setting of a training", key, SETTINGS)
    first = Bundle.at(served.folder / FIRST)
    own = [item for item in items if item["class_name"] in first.labels]
    known = read_split(served)
    placed = rounds.sides(known, own)
    content = rounds.datalist(served.name, first.labels, own, placed)
    write_json(served.folder / SPLIT_FILE, {"schema_version": 1, "sides": placed})
    datalist = datalists.write(content, served.folder / DATALIST_FILE)
    held_out = [item for item in own if placed[item["patient_id"]] == rounds.HELD_OUT]
    before = served.bundle
    work = served.folder / _WORK
    shutil.rmtree(work, ignore_errors=True)
    start = str(before.weights) if before.weights is not None else "scratch"
    train(first, datalist, 0, weights=start, run_dir=work, **dict(settings))
    old = judge(before, held_out, device) if before.weights is not None else None
    new = judge(Bundle.at(work), held_out, device)
    version = served.next_version()
    work.rename(served.folder / version)
    taken = served.judged(version, new, old)
    return {
        "model": served.name,
        "version": version,
        "served": taken,
        "score": asdict(new),
        "score_before": asdict(old) if old is not None else None,
        "images": {side: sum(placed[item["patient_id"]] == side for item in own) for side in rounds.SHARES},
    }


def judge(bundle: Bundle, items: Iterable[rounds.Labelled], device: str | None = None) -> Score:
    """How well a version answers for labelled images; one that it cannot answer counts as wrong."""
    answering = Answering(bundle, device)
    truth, given, patients = [], [], set()
    for item in items:
        try:
            told = answering.answer(Path(item["image"]), Wish(slice=item.get("frame"), force=True))
            given.append(told["scores"] or {})
        except DataError:
            given.append({})
        truth.append(str(item["class_name"]))
        patients.add(item["patient_id"])
    return rounds.score(bundle.labels, truth, given, len(patients))


def read_split(served: Served) -> dict[str, str]:
    """The side of each patient, as earlier rounds had it."""
    path = served.folder / SPLIT_FILE
    sides = read_json(path).get("sides", {}) if path.is_file() else {}
    if not set(sides.values()) <= set(rounds.SHARES):
        raise ConfigurationError(f"{path} names a side that is none of {', '.join(rounds.SHARES)}.")
    return dict(sides)


def _stated_patients(studies: Path | None) -> dict[str, str]:
    """The patients in a datalist that lies among the studies."""
    path = studies / DATALIST_FILE if studies is not None else None
    if path is None or not path.is_file():
        return {}
    content = datalists.read(path)
    items = (*content["training"], *content["testing"])
    return {str(Path(item["image"]).resolve()): item["patient_id"] for item in items if item["patient_id"]}

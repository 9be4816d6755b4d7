"""send, listen, and the DICOM side of predict."""

from __future__ import annotations

import argparse
import csv
import json
import signal
import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_brain.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from monai_brain.bundles import Bundle
    from monai_brain.evaluation.predictions import Prediction

SOME_FAILED = 3
OUTBOX = "outbox"


def send(options: argparse.Namespace) -> int:
    """Send files, and what waits for the same destination."""
    missing = [name for name in options.files if not Path(name).exists()]
    if missing:
        raise ConfigurationError(f"{len(missing)} inputs do not exist: {', '.join(missing[:5])}.")
    files = [file for name in options.files for file in _below(Path(name))]
    return _delivered(files, options.to, options)


def listen(options: argparse.Namespace) -> int:
    """Receive until the process is told to end."""
    from monai_brain.dicom_out.listen import MEGABYTE, Limits, Receiver

    if min(options.max_mb, options.max_folder_mb) < 1:
        raise ConfigurationError("A limit must be at least 1 MB.")
    limits = Limits(options.max_mb * MEGABYTE, options.max_folder_mb * MEGABYTE)
    ended = threading.Event()
    receiver = Receiver(options.address, Path(options.output), options.known, limits, tell=_tell)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with receiver:
        where = f"{receiver.title}@{receiver.host}:{receiver.port}"
        print(f"Listening at {where} for {', '.join(receiver.known)}, into {options.output}", flush=True)
        ended.wait()
    told = {"schema_version": 1, "received": receiver.received, "refused": receiver.refused}
    print(json.dumps(told) if options.json else f"{receiver.received} received, {receiver.refused} refused")
    return SOME_FAILED if receiver.refused else 0


def wanted(options: argparse.Namespace) -> bool:
    """Whether a prediction becomes DICOM objects too."""
    return bool(options.dicom or options.send)


def check(options: argparse.Namespace, bundle: Bundle) -> None:
    """Refuse before anything is computed what could not be written or sent afterwards.

    Raises:
        ConfigurationError: An address, an option or the bundle's codes cannot be used.
    """
    from monai_brain.dicom_out import codes, destination

    if options.deidentified and not wanted(options):
        raise ConfigurationError("--deidentified is of DICOM objects. Add --dicom.")
    if wanted(options):
        codes.read(bundle)
        _settings(options)
    if options.send:
        destination.destination(options.send)
        destination.credentials()


def sources(rows: Iterable[Prediction], join: Path | None) -> dict[str, tuple[str, int | None]]:
    """Where the image of each row lies, by its case; with its frame, from 1, where it is one of several.

    Args:
        rows: what was predicted.
        join: the file that says which input a hash stands for, where something was hashed.
    """
    files: dict[str, str] = {}
    if join is not None:
        with join.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            files = {line["case"]: line["file"] for line in csv.DictReader(stream)}
    found = {}
    for row in rows:
        number = row.meta.get("frame", "")
        whole = row.case.removesuffix(f" frame {number}") if number else row.case
        place = files.get(whole, row.image)
        if place:
            found[row.case] = (place, int(number) + 1 if number else None)
    return found


def report(
    options: argparse.Namespace,
    bundle: Bundle,
    folder: Path,
    join: Path | None,
) -> list[str]:
    """Write the DICOM objects of predictions, send them if asked to; gives a line for each that failed.

    Args:
        options: of predict.
        bundle: the model.
        folder: where the results are; the objects go to its folder dicom.
        join: the file that says which input a hash stands for, where something was hashed.
    """
    from monai_brain.dicom_out.write import write_reports
    from monai_brain.evaluation import predictions

    path = folder / "predictions.csv"
    rows = list(predictions.read(path)) if path.is_file() else []
    places, settings = sources(rows, join), _settings(options)
    maps = _maps(options, bundle, rows, places, settings) if options.explain else None
    written = write_reports(rows, places, bundle, folder / "dicom", settings, maps)
    if options.send and _delivered(written.files, options.send, options):
        written.failures.append(f"dicom: not all was delivered to {options.send}")
    return written.failures


def _maps(
    options: argparse.Namespace,
    bundle: Bundle,
    rows: list[Prediction],
    places: Mapping[str, tuple[str, int | None]],
    settings: Any,
) -> dict[str, Any]:
    """The heat maps of the images that reports refer to, for the class that the report names."""
    from monai_brain.dicom_out.write import shown
    from monai_brain.inference.explain import Explainer, Explanation
    from monai_brain.inference.predict import Predictor

    asked = shown(rows, places, bundle, settings)
    explainer = Explainer(Predictor(bundle, options.weights, options.device))
    found: dict[str, Any] = {}
    for label in dict.fromkeys(asked.values()):
        items = [_item(case, *places[case]) for case, named in asked.items() if named == label]
        for answer in explainer.explain(items, label):
            if isinstance(answer, Explanation):
                found[answer.case] = answer
    return found


def _item(case: str, place: str, number: int | None) -> dict[str, Any]:
    return {"image": place, "case": case} | ({} if number is None else {"frame": number - 1})


def _settings(options: argparse.Namespace) -> Any:
    from monai_brain.dicom_out.settings import Settings

    return Settings(
        rule=options.series_rule, deidentified=options.deidentified, series_number=options.series_number
    )


def _delivered(files: list[Path], address: str, options: argparse.Namespace) -> int:
    """Put files into the queue and send what is in it; 0 if all of it arrived."""
    from monai_brain.dicom_out.destination import destination
    from monai_brain.dicom_out.queue import Queue
    from monai_brain.home import home

    queue = Queue(options.queue or home() / OUTBOX, destination(address))
    failures: list[str] = []
    for file in files:
        try:
            queue.put([file])
        except DataError as error:
            failures.append(str(error))
    sent = queue.send(options.wait, tell=_tell)
    for line in (*failures, *sent.refused):
        _tell(line)
    if options.json and hasattr(options, "to"):
        told = {"schema_version": 1, "delivered": sent.delivered, "waiting": sent.waiting}
        print(json.dumps(told | {"refused": sent.refused, "failed": failures, "queue": str(queue.root)}))
    elif not options.json:
        print(f"{sent.delivered} delivered, {len(sent.refused)} refused, {sent.waiting} wait in {queue.root}")
    if sent.waiting:
        _tell(f"{address}: {sent.reason}. Send what waits by: monai-brain send --to {address}")
    return SOME_FAILED if sent.waiting or sent.refused or failures else 0


def _below(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*.dcm") if file.is_file())
    return [path]


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

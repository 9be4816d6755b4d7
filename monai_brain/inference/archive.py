"""Whole archives answered onto disk: results as they come, a second start that goes on, one line an input."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from monai_brain.bundles import Bundle
from monai_brain.data.headers import Header
from monai_brain.errors import ConfigurationError, OutputError
from monai_brain.files import whole, write_json
from monai_brain.home import home
from monai_brain.inference import exam, study, writers
from monai_brain.inference.answers import Answer
from monai_brain.inference.gates import FAILED, Refusal, gates
from monai_brain.inference.inputs import Given, Inputs
from monai_brain.inference.journal import NAME as JOURNAL
from monai_brain.inference.journal import Journal
from monai_brain.inference.names import Names
from monai_brain.inference.outputs import Outputs
from monai_brain.inference.predictor import Predictor
from monai_brain.inference.reading import Reading
from monai_brain.inference.stream import META, Stream

SUMMARY, STUDIES = "summary.json", "studies.jsonl"


@dataclass(frozen=True)
class Wishes:
    """How an archive shall be answered.

    Attributes:
        names: auto, hashed or plain.
        force: Ask the model whatever its gates say.
        plane: Cut volumes along this plane.
        exams: Also write a row for each examination.
        parquet: Also write predictions.parquet.
        restart: Forget what an earlier start has answered.
        join: Where the file goes that says which input a hash stands for; by default in this
            installation's own folder.
        batch_size: Images in one forward pass; by default the recipe's.
        threads: Threads that read; by default one a core.
    """

    names: str = "auto"
    force: bool = False
    plane: str | None = None
    exams: bool = False
    parquet: bool = False
    restart: bool = False
    join: str | os.PathLike[str] | None = None
    batch_size: int | None = None
    threads: int | None = None


@dataclass
class Summary:
    """What was done.

    Attributes:
        folder: Where the results are.
        counts: Inputs by status, those of earlier starts included.
        before: How many of them were answered by earlier starts.
        changed: How many of those have another size or date by now.
        left_out: Files that are not named as images.
        join: The file that says which input a hash stands for; None where nothing was hashed.
        seconds: How long this start took.
    """

    folder: Path
    counts: dict[str, int] = field(default_factory=dict)
    before: int = 0
    changed: int = 0
    left_out: int = 0
    join: Path | None = None
    seconds: float = 0.0

    @property
    def failed(self) -> int:
        """How many inputs failed."""
        return self.counts.get(FAILED, 0)


def answer(
    model: str | os.PathLike[str] | Bundle | Predictor,
    inputs: Given,
    folder: str | os.PathLike[str],
    wishes: Wishes | None = None,
    *,
    weights: str | os.PathLike[str] | None = None,
    device: str | None = None,
    progress: bool | None = False,
    told: Callable[[Answer], None] | None = None,
    check: Callable[[Header], Refusal | None] | None = None,
) -> Summary:
    """Answer every input once, into a folder; a start with the same request goes on where the last one ended.

    Args:
        model: a registered name, a bundle folder, a run folder, or a predictor that is ready.
        inputs: files, folders, globs, zips, or "@FILE" for a list of them.
        folder: where results.jsonl, predictions.csv and the journal go.
        wishes: how.
        weights: a .pt file or a run folder instead of the model's own weights.
        device: "cuda", "cpu"; by default the GPU where there is one.
        progress: True or False for a bar, None for one on a terminal.
        told: is called with each answer once it is written.
        check: a further gate, over a file's header.

    Raises:
        ConfigurationError: The folder holds an unfinished answer to another request.
        OutputError: The folder cannot be written.
    """
    begin, wanted, found = time.monotonic(), wishes or Wishes(), Inputs(inputs)
    predictor = model if isinstance(model, Predictor) else Predictor(model, weights, device)
    bundle, place, naming = predictor.bundle, Path(folder), Names(wanted.names)
    if wanted.exams:
        exam.rule(bundle)
    rules = gates(bundle)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot make {place}: {error.strerror}. Name another place by -o.") from None
    journal = _journal(place, naming.key, _signature(predictor, found, wanted), wanted.restart)
    summary = Summary(place, before=sum(journal.counts().values()))
    reading = Reading(predictor, naming, rules, force=wanted.force, plane=wanted.plane, check=check)
    stream = Stream(
        predictor, reading, naming, journal.name,
        batch_size=wanted.batch_size, threads=wanted.threads or os.cpu_count() or 1,
    )  # fmt: skip
    with contextlib.closing(journal):
        outputs = Outputs(journal, bundle, place, join_file(place, wanted.join, naming))
        with contextlib.closing(outputs), _bar(found, progress, summary.before) as bar:
            for ready in stream.answers(entry for entry in found if journal.take(entry)):
                outputs.write(ready, naming, predictor.weights_sha256, wanted.exams)
                bar.update(len(ready))
                for one in ready if told else ():
                    told(one)  # type: ignore[misc]
            outputs.commit()
        summary.counts, summary.changed, summary.left_out = journal.counts(), journal.changed, found.left_out
        summary.join = outputs.join.path if outputs.join is not None else None
        conclude(journal, predictor, place, wanted, outputs.whole_writers)
        journal.put("finished", True)
        journal.commit(outputs.positions)
    summary.seconds = time.monotonic() - begin
    write_json(place / SUMMARY, _told(summary, predictor))
    return summary


def _journal(folder: Path, key: bytes, signature: dict[str, Any], restart: bool) -> Journal:
    journal = Journal(folder, key)
    state = journal.request(signature)
    finished = bool(journal.get("finished"))
    if state == "other" and not finished and not restart:
        journal.close()
        raise ConfigurationError(
            f"{folder} holds the unfinished answers to another request (model, weights, inputs or options). "
            "Name another folder by -o, finish that one, or begin anew with --restart."
        )
    if restart or state == "other":
        journal.close()
        for suffix in ("", "-journal", "-wal", "-shm"):
            (folder / f"{JOURNAL}{suffix}").unlink(missing_ok=True)
        journal = Journal(folder, key)
        journal.request(signature)
    journal.put("finished", False)
    return journal


def _signature(predictor: Predictor, found: Inputs, wanted: Wishes) -> dict[str, Any]:
    kept = {
        name: value for name, value in asdict(wanted).items() if name in ("names", "force", "plane", "exams")
    }
    places = [os.path.abspath(one) for one in found.given]  # noqa: PTH100  globs and marks are no paths
    told = {"weights": predictor.weights_sha256, "inputs": places, "columns": META}
    return kept | {"model": predictor.bundle.name, **told}


def join_file(folder: Path, given: str | os.PathLike[str] | None, naming: Names) -> Path:
    """Where the file goes that says which input a hash stands for: never beside the results.

    Raises:
        ConfigurationError: The wanted place lies in the folder of the results.
    """
    name = naming.hashed("output", str(folder.resolve()))
    path = Path(given) if given is not None else home() / "joins" / f"{name}.csv"
    if path.resolve().is_relative_to(folder.resolve()):
        raise ConfigurationError(
            f"The join file {path} lies in the output folder, which may be passed on. "
            "Name another place by --join."
        )
    return path


@contextlib.contextmanager
def _bar(found: Inputs, progress: bool | None, before: int) -> Iterator[Any]:
    shown = sys.stderr.isatty() if progress is None else progress
    total = found.count() if shown else None  # a walk over names, worth it only if somebody looks
    with tqdm(total=total, initial=before, unit="file", desc="predict", disable=not shown, delay=2) as bar:
        yield bar


def conclude(
    journal: Journal,
    predictor: Predictor,
    place: Path,
    wanted: Wishes,
    rest: Sequence[writers.WholeWriter],
) -> None:
    """Write into the folder what can only be written once every answer is there."""
    bundle = predictor.bundle
    _studies(journal, predictor, place / STUDIES)
    if wanted.exams:
        exam.write(journal.exams(), bundle, place)
    if wanted.parquet:
        writers.parquet(place)
    if rest:
        answers = writers.written(place)
        answers.weights_sha256 = predictor.weights_sha256
        for write in rest:
            write(answers, bundle, place)


def _studies(journal: Journal, predictor: Predictor, path: Path) -> None:
    """studies.jsonl: the value over the slices of each series and volume; without one there is no file."""
    bundle = predictor.bundle
    if next(journal.sums(), None) is None:
        path.unlink(missing_ok=True)
        return
    with whole(path) as stream:
        for name, slices, kept in journal.sums():
            line = {
                "schema_version": 1,
                "series": name,
                "slices": slices,
                **study.value(kept, bundle.labels, bundle),
            }
            line |= {
                "model": bundle.name,
                "weights_sha256": predictor.weights_sha256,
                "disclaimer": bundle.disclaimer,
            }
            stream.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")


def _told(summary: Summary, predictor: Predictor) -> dict[str, Any]:
    here = sum(summary.counts.values()) - summary.before
    return {
        "schema_version": 1,
        "counts": summary.counts,
        "answered_before": summary.before,
        "changed_since": summary.changed,
        "left_out": summary.left_out,
        "seconds": round(summary.seconds, 3),
        "inputs_per_second": round(here / summary.seconds, 3) if summary.seconds else None,
        "model": predictor.bundle.name,
        "weights_sha256": predictor.weights_sha256,
        "disclaimer": predictor.bundle.disclaimer,
    }

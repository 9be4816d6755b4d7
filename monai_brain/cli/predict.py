"""predict."""

from __future__ import annotations

import argparse
import contextlib
import csv
import itertools
import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tqdm import tqdm

from monai_brain import registry
from monai_brain.bundles import Bundle
from monai_brain.cli import dicom
from monai_brain.errors import ConfigurationError
from monai_brain.inference import archive, writers
from monai_brain.inference.answers import Answer
from monai_brain.inference.gates import DONE, FAILED, STATUSES
from monai_brain.inference.inputs import LIST_MARK, Inputs
from monai_brain.inference.names import Names
from monai_brain.inference.series import Selection

SOME_FAILED = 3
_SHOWN = 20


def predict(options: argparse.Namespace) -> int:
    """Write results for all inputs, and name each that failed."""
    bundle = registry.bundle(options.model)
    dicom.check(options, bundle)
    if options.watch:
        return watch(options)
    if options.listen:
        raise ConfigurationError("--listen fills the folder of --watch. Name one, or use: monai-brain listen")
    if not options.inputs and not options.lists:
        raise ConfigurationError(
            "Nothing to predict. Name files, folders, globs or zips, or a list by --list."
        )
    inputs = [*options.inputs, *(f"{LIST_MARK}{path}" for path in options.lists)]
    folder = Path(options.output or Path("runs") / "predict" / bundle.name)
    summary = archive.answer(
        bundle,
        inputs,
        folder,
        wishes(options),
        weights=options.weights,
        device=options.device,
        progress=None,
        told=_told,
        check=_selection(options, bundle, inputs),
    )
    unreported = _afterwards(options, bundle, inputs, summary)
    for line in unreported:
        print(line, file=sys.stderr)
    if options.json:
        _print_json(folder)
    else:
        for line in itertools.islice(_done(folder), _SHOWN):
            print(line)
        if options.exam:
            from monai_brain.inference.exam import said

            for line in said(folder):
                print(line)
        for line in _closing(summary):
            print(line)
        print(f"{_counted(summary)}, in {folder}. {bundle.disclaimer}")
    return SOME_FAILED if summary.failed or unreported else 0


def watch(options: argparse.Namespace) -> int:
    """Answer what arrives in a folder, until told to stop."""
    from monai_brain.inference.predictor import Predictor
    from monai_brain.inference.watch import Watch

    if options.inputs or options.lists:
        raise ConfigurationError("--watch takes its inputs from the folder. Name no others.")
    predictor = Predictor(options.model, options.weights, options.device)
    folder = Path(options.output or Path("runs") / "predict" / predictor.bundle.name)
    if options.listen:
        Path(options.watch).mkdir(parents=True, exist_ok=True)  # the receiver fills it
    watching = Watch(
        predictor,
        Path(options.watch),
        folder,
        wishes(options),
        quiet=options.quiet,
        choose=options.choose_series or options.explain_selection,
        say=lambda text: print(text, flush=True),
        then=lambda path, summary: _afterwards(options, predictor.bundle, [str(path)], summary),
    )
    with _receiver(options):
        print(f"Watching {options.watch}, results in {folder}. {predictor.bundle.disclaimer}", flush=True)
        watching.forever(options.poll)
    return 0


@contextlib.contextmanager
def _receiver(options: argparse.Namespace) -> Iterator[None]:
    """A receiver that fills the watched folder, where one is asked for."""
    if not options.listen:
        yield
        return
    from monai_brain.dicom_out.listen import Receiver

    tell = partial(print, file=sys.stderr, flush=True)
    with Receiver(options.listen, Path(options.watch), options.known, tell=tell, by_study=True) as receiver:
        where = f"{receiver.title}@{receiver.host}:{receiver.port}"
        print(f"Listening at {where} for {', '.join(receiver.known)}", flush=True)
        yield


def _selection(options: argparse.Namespace, bundle: Bundle, inputs: list[str]) -> Selection | None:
    """The choice among series, where it is asked for, said where that is asked for."""
    if not options.choose_series and not options.explain_selection:
        return None
    selection = Selection(Inputs(inputs), bundle, Names(options.names))
    for choice in selection.choices if options.explain_selection else ():
        print(choice, file=sys.stderr if options.json else sys.stdout)
    return selection


def wishes(options: argparse.Namespace) -> archive.Wishes:
    """What the options ask for."""
    return archive.Wishes(
        names=options.names,
        force=options.force,
        plane=options.plane,
        exams=options.exam,
        parquet=options.parquet,
        restart=options.restart,
        join=options.join,
        batch_size=options.batch_size,
        threads=options.threads,
    )


def _told(answer: Answer) -> None:
    """A line for a failure; only a terminal, which nobody keeps, shows a hidden input's path."""
    if answer.status == FAILED:
        name = answer.entry.found if sys.stderr.isatty() else answer.case
        tqdm.write(f"{name}: {answer.reason}", file=sys.stderr)


def _done(folder: Path) -> Iterator[str]:
    for line in writers.lines(folder):
        if line["status"] == DONE:
            yield f"{line['case']}  {line['predicted']}  {line['probabilities'][line['predicted']]:.3f}"


def _counted(summary: archive.Summary) -> str:
    always = (DONE, FAILED)
    order = [DONE, FAILED, *(status for status in STATUSES if status not in always)]
    counts = summary.counts
    return ", ".join(f"{counts.get(name, 0)} {name}" for name in order if counts.get(name) or name in always)


def _closing(summary: archive.Summary) -> Iterator[str]:
    if summary.before:
        yield f"{summary.before} were answered before. --restart answers them anew."
    if summary.changed:
        yield f"{summary.changed} of those have another size or date by now."
    if summary.left_out:
        yield f"{summary.left_out} other files are not named as images and were left out."
    if summary.join is not None:
        yield f"Which file a hash stands for: {summary.join}"


def _print_json(folder: Path) -> None:
    print("[", end="")
    for number, line in enumerate(writers.lines(folder)):
        print("," if number else "", json.dumps(line), sep="", end="")
    print("]")


def _afterwards(
    options: argparse.Namespace, bundle: Bundle, inputs: list[str], summary: archive.Summary
) -> list[str]:
    """Maps and DICOM objects of what was answered, where they are asked for; a line for each that failed."""
    if options.explain:
        _explain(options, bundle, inputs, summary.folder / "explanations")
    return dicom.report(options, bundle, summary.folder, summary.join) if dicom.wanted(options) else []


def _explain(options: argparse.Namespace, bundle: Bundle, inputs: list[str], folder: Path) -> None:
    """Write the maps of what was asked; what was not asked, or not read, is named with the predictions."""
    from monai_brain.inference import explain, overlays

    asked: set[str] = set()
    if (path := folder.parent / writers.PREDICTIONS).is_file():
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            asked = {row["case"] for row in csv.DictReader(stream)}
    with contextlib.closing(
        explain.explain(
            bundle, inputs, weights=options.weights, device=options.device, names=options.names,
            plane=options.plane, cases=asked, failures=[], progress=None,
        )
    ) as found:  # fmt: skip
        overlays.write(found, bundle, folder)

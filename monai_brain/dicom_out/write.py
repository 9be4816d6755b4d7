"""From predictions to DICOM files: one report a series or an exam, heat maps of the images that it names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_brain.bundles import Bundle
from monai_brain.dicom_out import codes, deidentified, report
from monai_brain.dicom_out.author import Author
from monai_brain.dicom_out.report import Judged
from monai_brain.dicom_out.settings import Settings
from monai_brain.dicom_out.sources import Source, read, silenced
from monai_brain.errors import DataError, MonaiBrainError
from monai_brain.evaluation.predictions import Prediction
from monai_brain.files import write_whole

if TYPE_CHECKING:
    from monai_brain.inference.explain import Explanation


@dataclass
class Written:
    """What was written, and what could not be reported, each as `case: reason`."""

    files: list[Path] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def write_reports(
    rows: Iterable[Prediction],
    sources: Mapping[str, Any],
    bundle: Bundle,
    folder: str | os.PathLike[str],
    settings: Settings | None = None,
    maps: Mapping[str, Explanation] | None = None,
) -> Written:
    """Write a report for each series or exam, and heat maps where there are any; gives what was written.

    File names are hashes of the objects' UIDs. One image that cannot be reported never stops the others.

    Args:
        rows: predictions of images, in any order.
        sources: case to the image: a path, a pydicom Dataset, or one of them with a frame's number.
        bundle: the model; its metadata hold the codes.
        folder: where the files go.
        settings: what may be chosen.
        maps: case to explanation; those of the images that a report refers to are written.

    Raises:
        ConfigurationError: The bundle has no codes.
        MissingExtraError: highdicom or pydicom is not installed.
        OutputError: The folder cannot be written.
    """
    settings, written = settings or Settings(), Written()
    for judged, weights in studies(rows, sources, bundle, settings, written.failures):
        author = Author(bundle, codes.read(bundle), settings, weights)
        make = report.of_series if author.codes.scope == "series" else report.of_exam
        _put(folder, judged[0].source.case, "report", partial(make, author, judged), written)
        _put_all_maps(folder, author, judged, maps or {}, written)
    return written


def write_heat_maps(
    rows: Iterable[Prediction],
    sources: Mapping[str, Any],
    bundle: Bundle,
    folder: str | os.PathLike[str],
    maps: Mapping[str, Explanation],
    settings: Settings | None = None,
) -> Written:
    """Write the heat maps that `write_reports` would write beside its reports, without the reports.

    Arguments and errors are those of `write_reports`; what is no failure of a map is not named again.
    """
    settings, written = settings or Settings(), Written()
    for judged, weights in studies(rows, sources, bundle, settings, []):
        _put_all_maps(folder, Author(bundle, codes.read(bundle), settings, weights), judged, maps, written)
    return written


def _put_all_maps(
    folder: str | os.PathLike[str],
    author: Author,
    judged: Sequence[Judged],
    maps: Mapping[str, Explanation],
    written: Written,
) -> None:
    of_interest = [one.source for one, _ in _of_interest(author, judged)]
    for number, source in enumerate(of_interest, start=1):
        if source.case in maps:
            _put_maps(folder, author, source, maps[source.case], number, written)


def studies(
    rows: Iterable[Prediction],
    sources: Mapping[str, Any],
    bundle: Bundle,
    settings: Settings,
    failures: list[str],
) -> Iterable[tuple[list[Judged], str]]:
    """The judged images of each series or exam in their order, with the weights that judged them."""
    scope = codes.read(bundle).scope
    key = _key() if settings.deidentified else b""
    groups: dict[tuple[str, str, str], dict[tuple[int, str, int], Judged]] = {}
    for row in rows:
        if row.abstain:
            continue
        try:
            source = _read(row.case, sources)
        except DataError as error:
            failures.append(str(error))
            continue
        header = source.header
        if settings.deidentified:
            source = deidentified.without_identity(source, key)
        series = str(header.SeriesInstanceUID) if scope == "series" else ""
        name = (row.weights_sha256, str(header.StudyInstanceUID), series)
        predicted = row.predicted or max(row.probs, key=lambda label: row.probs[label])
        mine = groups.setdefault(name, {})
        if mine.setdefault(source.order, Judged(source, row.probs, predicted)).source is not source:
            failures.append(f"{row.case}: not in the report: another file is the same DICOM instance")
    for name in sorted(groups):
        yield [groups[name][order] for order in sorted(groups[name])], name[0]


def shown(
    rows: Iterable[Prediction],
    sources: Mapping[str, Any],
    bundle: Bundle,
    settings: Settings | None = None,
) -> dict[str, str]:
    """The cases whose heat maps `write_reports` would write, and the class that each should show."""
    settings, found = settings or Settings(), dict[str, str]()
    for judged, weights in studies(rows, sources, bundle, settings, []):
        author = Author(bundle, codes.read(bundle), settings, weights)
        found |= {one.source.case: label for one, label in _of_interest(author, judged)}
    return found


def _of_interest(author: Author, judged: Sequence[Judged]) -> list[tuple[Judged, str]]:
    """All views of an exam with their class; of a series the slices that speak most for its class."""
    if author.codes.scope == "exam":
        return [(one, one.predicted) for one in judged]
    values = report.series_values(author, judged)
    best = max(values, key=lambda label: values[label])
    return [(one, best) for one in report.highest(judged, best, author.settings.top)]


def _put_maps(
    folder: str | os.PathLike[str],
    author: Author,
    source: Source,
    map_: Explanation,
    number: int,
    written: Written,
) -> None:
    from monai_brain.dicom_out import heatmap

    for make in (heatmap.picture, heatmap.values):
        _put(folder, source.case, "heat map", partial(make, author, source, map_, number), written)


def _put(
    folder: str | os.PathLike[str], case: str, what: str, make: Callable[[], bytes], written: Written
) -> None:
    """Write what `make` gives; what it cannot make is a failure of this object alone."""
    try:
        with silenced():
            data = make()
    except ModuleNotFoundError:
        raise
    except MonaiBrainError as error:
        written.failures.append(str(error))
    except Exception as error:  # noqa: BLE001  highdicom refuses in many ways, and may repeat the header
        written.failures.append(f"{case}: no {what}: it cannot be made ({type(error).__name__})")
    else:
        path = Path(folder) / f"{hashlib.sha256(data).hexdigest()[:32]}.dcm"
        write_whole(path, lambda stream: stream.write(data))
        written.files.append(path)


def _read(case: str, sources: Mapping[str, Any]) -> Source:
    given = sources.get(case)
    if given is None:
        raise DataError(f"{case}: no report: its DICOM image is not known")
    return read(case, *given) if isinstance(given, tuple) else read(case, given)


def _key() -> bytes:
    from monai_brain.data.pseudonyms import own_key

    return own_key()

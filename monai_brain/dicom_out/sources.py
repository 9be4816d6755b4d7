"""The images that a result is about: of their headers what a result may take over, and nothing else."""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_brain.dicom_out import geometry
from monai_brain.errors import DataError, MissingExtraError

log = logging.getLogger(__name__)

# Keyword to whether an empty value must stand where there is none (type 2 of PS3.3).
TAKEN = {
    **dict.fromkeys(("PatientName", "PatientID", "PatientBirthDate", "PatientSex"), True),
    **dict.fromkeys(("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"), True),
    **dict.fromkeys(("IssuerOfPatientID", "StudyDescription", "TimezoneOffsetFromUTC"), False),
}
_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_MOMENTS = ("Content", "Acquisition", "Series", "Study")
_MODALITIES = {"1.2.840.10008.5.1.4.1.1.1.2": "MG", "1.2.840.10008.5.1.4.1.1.1.2.1": "MG"}
NO_DATE = (
    "19000101",
    "000000",
)  # plainly no true date, where an object must have one and the source has none
_SIDES = ("L", "R", "B")
LATIN = "ISO_IR 100"


@dataclass(frozen=True)
class Source:
    """An image that was judged.

    Attributes:
        case: its name in the results.
        header: a pydicom Dataset with patient, study, series, instance, size and geometry alone.
        frame: the frame that was judged, counting from 1; None for the only one.
        moment: date and time of its content.
        side: "L", "R", "B" or "".
        view: for example "MLO", or "".
        body_part: as the source has it, or "".
        burned_in: what the source says of text in its pixels: "YES", "NO" or "".
    """

    case: str
    header: Any
    frame: int | None
    moment: tuple[str, str]
    side: str
    view: str
    body_part: str
    burned_in: str

    @property
    def order(self) -> tuple[int, str, int]:
        """What sorts the images of a series."""
        return int(self.header.InstanceNumber or 0), str(self.header.SOPInstanceUID), self.frame or 0


def read(case: str, given: Any, frame: int | None = None) -> Source:
    """The source behind a path, or behind a pydicom Dataset.

    Raises:
        DataError: It is no DICOM object, or does not say which study it belongs to. The message never
            repeats a value of the header.
    """
    try:
        import pydicom
    except ImportError as error:
        raise MissingExtraError("pydicom", "dicom") from error
    with silenced():
        try:
            if isinstance(given, str | os.PathLike):
                given = pydicom.dcmread(Path(given), stop_before_pixels=True)
            return _source(case, given, frame)
        except DataError:
            raise
        except pydicom.errors.InvalidDicomError:
            raise DataError(f"{case}: no report: the image is no DICOM file") from None
        except Exception as error:  # noqa: BLE001  damaged headers raise whatever reads them
            kind = type(error).__name__
            raise DataError(f"{case}: no report: its header cannot be read ({kind})") from None


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Let pydicom's and highdicom's warnings go unheard within: they repeat values of headers."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    levels = [each.level for each in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for each in loggers:
            each.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            for each, level in zip(loggers, levels, strict=True):
                each.setLevel(level)


def _source(case: str, given: Any, frame: int | None) -> Source:
    from pydicom.dataset import Dataset

    header = Dataset()
    _characters(case, given, header)
    for keyword in _UIDS:
        header.add_new(keyword, "UI", _uid(case, given, keyword))
    for keyword, always in TAKEN.items():
        value = _valid(given, keyword)
        if value is not None or always:
            setattr(header, keyword, "" if value is None else value)
    frames = int(given.get("NumberOfFrames") or 1)
    if not 1 <= (frame or 1) <= frames:
        raise DataError(f"{case}: no report: it has {frames} frames, not {frame}")
    flat = geometry.of_frame(given, (frame or 1) - 1)
    header.Rows, header.Columns = int(given.Rows), int(given.Columns)
    number = str(given.get("InstanceNumber") or "0")
    header.InstanceNumber = int(number) if re.fullmatch(r"\d{1,9}", number) else 0
    header.Modality = _code(given.get("Modality")) or _MODALITIES.get(str(header.SOPClassUID), "OT")
    geometry.take(flat, header)
    anatomy = (flat.get("FrameAnatomySequence") or [Dataset()])[0]
    said = (given.get("ImageLaterality"), given.get("Laterality"), anatomy.get("FrameLaterality"))
    side = next((_code(value) for value in said if _code(value) in _SIDES), "")
    return Source(
        case=case,
        header=header,
        frame=(frame or 1) if "NumberOfFrames" in given else None,
        moment=_moment(given),
        side=side,
        view=_code(given.get("ViewPosition")) or _view(given),
        body_part=_code(given.get("BodyPartExamined")),
        burned_in=_code(given.get("BurnedInAnnotation")),
    )


def _characters(case: str, given: Any, header: Any) -> None:
    """The source's own character set, so that its names are the same bytes again."""
    from pydicom.charset import python_encoding

    declared = given.get("SpecificCharacterSet")
    sets = [declared] if isinstance(declared, str) else list(declared or [])
    unknown = [name for name in sets if str(name) and str(name) not in python_encoding]
    if unknown:
        log.warning("%s: its character set is unknown; its bytes are kept, as %s", case, LATIN)
        header.SpecificCharacterSet = LATIN
    elif sets:
        header.SpecificCharacterSet = sets if len(sets) > 1 else sets[0]


def _uid(case: str, given: Any, keyword: str) -> str:
    value = str(given.get(keyword) or "")
    if not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+", value) or len(value) > 64:
        raise DataError(f"{case}: no report: its {keyword} is missing or no UID")
    return value


def _valid(given: Any, keyword: str) -> Any:
    """The source's value if DICOM allows it there, else None; a date that is none is left out."""
    value = given.get(keyword)
    text = "" if value is None else str(value)
    if not text.strip():
        return None
    checks = {
        "StudyDate": _date,
        "PatientBirthDate": _date,
        "StudyTime": _time,
        "PatientSex": lambda sex: sex if sex in ("M", "F", "O") else None,
        "TimezoneOffsetFromUTC": lambda zone: zone if re.fullmatch(r"[+-][01]\d[0-5]\d", zone) else None,
    }
    if keyword in checks:
        return checks[keyword](text)
    return value if keyword.endswith("Name") else text


def _date(text: str) -> str | None:
    try:
        datetime.datetime.strptime(text, "%Y%m%d")
    except ValueError:
        return None
    return text if len(text) == 8 else None


def _time(text: str) -> str | None:
    found = re.fullmatch(r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:[0-5]\d(?:\.\d{1,6})?)?)?", text.strip())
    return found[0] if found else None


def _moment(given: Any) -> tuple[str, str]:
    """When the content was made: the first date that the source has, with its time."""
    for what in _MOMENTS:
        date = _date(str(given.get(f"{what}Date") or ""))
        if date:
            return date, _time(str(given.get(f"{what}Time") or "")) or "000000"
    return NO_DATE


def _view(given: Any) -> str:
    """The view of a mammogram whose ViewPosition is empty, from its coded view."""
    names = {"399162004": "CC", "R-10242": "CC", "399368009": "MLO", "R-10226": "MLO"}
    for item in given.get("ViewCodeSequence") or []:
        return names.get(str(item.get("CodeValue", "")), "")
    return ""


def _code(value: object) -> str:
    """The value if it is a short code, which can name nobody, else ""."""
    text = str(value or "")
    return text if re.fullmatch(r"[A-Z0-9 _]{1,16}", text) else ""

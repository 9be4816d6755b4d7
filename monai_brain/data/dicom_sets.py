"""Folders of DICOM files and DICOMDIRs as data sets: patients, studies and series under hashed names."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from monai_brain.data.folders import class_named, files_below, named_as_image
from monai_brain.data.headers import technique
from monai_brain.data.pseudonyms import own_key, pseudonym
from monai_brain.data.schema import Datalist, Item
from monai_brain.data.slices import UnreadableImageError
from monai_brain.data.tables import column, frame_of, rows_of
from monai_brain.errors import DataError, MissingExtraError

_FILE, _LABEL = ("file", "path", "image", "folder"), ("label", "class_name", "class")
_UIDS = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID"}
_CODES = {
    "modality": "Modality",
    "laterality": "ImageLaterality",
    "view_position": "ViewPosition",
    "presentation_intent": "PresentationIntentType",
    "technique": "ConversionType",
}
_TAGS = (
    *("PatientID", "IssuerOfPatientID", "Laterality", "SharedFunctionalGroupsSequence", "SOPInstanceUID"),
    "NumberOfFrames",
)
_DIRECTORY = "DICOMDIR"


def read(path: str | os.PathLike[str], labels: str | os.PathLike[str] | None = None) -> Datalist:
    """The DICOM files below a folder, or those that a DICOMDIR names within its own folder.

    A file's class is the first folder below `path` that it lies in, unless `labels` is given. Patient,
    study and series become hashes under this installation's own key; nothing else of the header that
    could name a person is kept. Images of one study stay together. Of an enhanced (multi-frame) object
    each frame is an image of its own, named by `frame`, the first being 0.

    Args:
        path: A folder, or a DICOMDIR.
        labels: A CSV or Parquet table with the columns file and label. file is a file or a folder,
            relative to `path`; the longest that fits counts. With a column frame, a row labels one
            frame of a file, and only the frames that are named are taken.

    Raises:
        DataError: There is no such folder, or no file in it.
    """
    place = Path(os.path.realpath(path))
    root = place if place.is_dir() else place.parent
    left_out: dict[str, str] = {}
    rejected: list[dict[str, str]] = []
    if place.is_dir():
        files = [file for file in files_below(place) if file.name != _DIRECTORY]
        for file in files:
            if not named_as_image(file):
                left_out[file.relative_to(root).as_posix()] = "it is not named as an image"
        files = [file for file in files if named_as_image(file)]
    else:
        files = _listed(place, rejected)
    if not files and not rejected:
        raise DataError(f"{path}: holds no DICOM file.")
    named = _labels(Path(labels)) if labels is not None else None
    items: list[Item] = []
    for file in files:
        inside = PurePosixPath(file.relative_to(root).as_posix())
        for frame, class_name in _classes(inside, named).items():
            item = {"image": str(file), "class_name": class_name, "source": root.name}
            items.append(item if frame is None else item | {"frame": frame})
    key = own_key()
    # Another key, other names: what was kept under the old one must not be taken for the new.
    reader = f"dicom 3 {pseudonym('key', '', key)}"
    known = {"describe": (reader, functools.partial(describe, key=key)), "unique": "instance"}
    return {"name": root.name, "training": items, "rejected": rejected, "left_out": left_out, **known}


def describe(file: Path, key: bytes) -> Item:
    """What may be kept of a header: hashed patient, study and series; modality, view and side as codes.

    Raises:
        UnreadableImageError: The header cannot be read.
    """
    try:
        import pydicom
    except ImportError as error:
        raise MissingExtraError("pydicom", "dicom") from error
    from monai_brain.data.dicom import code

    tags = [*_TAGS, *_UIDS.values(), *_CODES.values()]
    try:
        with file.open("rb") as stream:  # a stream, because pydicom logs the paths that it is given
            header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=tags)
        patient = f"{header.get('IssuerOfPatientID') or ''}\\{header.get('PatientID') or ''}".strip()
        found: Item = {name: code(header.get(keyword)) for name, keyword in _CODES.items()}
        found["laterality"] = found["laterality"] or code(header.get("Laterality")) or _side_of_frames(header)
        found["technique"] = technique(found["technique"]) if found["modality"] == "MG" else ""
        for name, keyword in _UIDS.items():
            found[name] = pseudonym(name, str(header[keyword].value), key) if header.get(keyword) else ""
        found["frames"] = int(header.get("NumberOfFrames") or 1)
        found["instance"] = pseudonym("instance", str(header.get("SOPInstanceUID") or ""), key)
    except Exception as error:  # damaged headers raise whatever reads them; their words may hold a name
        raise UnreadableImageError(
            file.name, "damaged", f"the header cannot be read ({type(error).__name__})"
        ) from error
    found["patient_id"] = pseudonym("patient", patient, key) if patient.strip("\\") else None
    found["group"] = f"study {found['study']}" if found["study"] else None
    return found


def _side_of_frames(header: Any) -> str:
    """Where an enhanced object keeps the side: in the anatomy shared by its frames."""
    from monai_brain.data.dicom import code

    for shared in header.get("SharedFunctionalGroupsSequence") or []:
        for anatomy in shared.get("FrameAnatomySequence") or []:
            return code(anatomy.get("FrameLaterality"))
    return ""


def _listed(directory: Path, rejected: list[dict[str, str]]) -> list[Path]:
    """The images that a DICOMDIR names; what would lie outside its folder is refused."""
    try:
        import pydicom
    except ImportError as error:
        raise MissingExtraError("pydicom", "dicom") from error
    try:
        records = pydicom.dcmread(directory)["DirectoryRecordSequence"].value
        given = [record["ReferencedFileID"].value for record in records if "ReferencedFileID" in record]
        parts = [[str(part) for part in ([one] if isinstance(one, str) else one)] for one in given]
    except Exception as error:  # damaged directories raise whatever reads them
        kind = type(error).__name__
        raise DataError(
            f"{directory}: cannot be read as a DICOMDIR ({kind}). Name its folder instead."
        ) from error
    files = []
    for place in parts:
        file = Path(os.path.realpath(directory.parent.joinpath(*place)))
        if file.is_relative_to(directory.parent) and not any(part in ("", ".", "..") for part in place):
            files.append(file)
        else:
            rejected.append(
                {"image": "/".join(place), "reason": "unsafe: it leads out of the DICOMDIR's folder"}
            )
    return files


def _labels(table: Path) -> Mapping[str, Mapping[int | None, str]]:
    names, rows = rows_of(table)
    file, label = column(table, names, _FILE), column(table, names, _LABEL)
    found: dict[str, dict[int | None, str]] = {}
    for line, row in rows:
        if row[label]:
            frame = frame_of(table, line, row.get("frame", ""))
            found.setdefault(str(PurePosixPath(row[file])), {})[frame] = class_named(row[label])
    return found


def _classes(
    inside: PurePosixPath, named: Mapping[str, Mapping[int | None, str]] | None
) -> Mapping[int | None, str | None]:
    """The class of the file, or of those of its frames that the table names."""
    if named is None:
        return {None: class_named(inside.parts[0]) if len(inside.parts) > 1 else None}
    found = next((named[str(place)] for place in (inside, *inside.parents) if str(place) in named), {})
    return found or {None: None}

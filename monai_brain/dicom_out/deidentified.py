"""Copies for research: what names the person is replaced under this installation's own key.

Replaced are name, id, birth date, sex, accession number, study id, descriptions, physicians, dates and
all UIDs. Nothing is claimed of pixels: a heat map over an image shows that image.
"""

from __future__ import annotations

import dataclasses
import hashlib
import uuid
from typing import Any

from monai_brain.dicom_out.sources import NO_DATE, Source

METHOD = (
    "monai_brain: identifiers, dates and UIDs of the header replaced",
    "monai_brain: pixels not inspected",
)
_EMPTIED = (
    *("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
    "ReferringPhysicianName",
)
_REMOVED = ("IssuerOfPatientID", "StudyDescription", "TimezoneOffsetFromUTC", "SpecificCharacterSet")
_UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")


def without_identity(source: Source, key: bytes) -> Source:
    """The source with a header that names nobody; what was equal stays equal under one key."""
    from pydicom.dataset import Dataset

    from monai_brain.data.pseudonyms import pseudonym

    header: Any = Dataset()
    header.update(source.header)
    person = f"{header.get('IssuerOfPatientID') or ''}\\{header.get('PatientID') or ''}"
    known = person.strip("\\") or f"study {header.StudyInstanceUID}"
    name = pseudonym("patient", known, key)
    header.PatientName, header.PatientID = name, name
    for keyword in _EMPTIED:
        setattr(header, keyword, "")
    for keyword in _REMOVED:
        if keyword in header:
            delattr(header, keyword)
    for keyword in _UIDS:
        if keyword in header:
            setattr(header, keyword, _uid(str(header[keyword].value), key))
    return dataclasses.replace(source, header=header, moment=NO_DATE)


def mark(dataset: Any) -> None:
    """Say in an object what was done, and that nobody has looked whether it suffices."""
    dataset.PatientIdentityRemoved = "NO"
    dataset.DeidentificationMethod = list(METHOD)
    dataset.LongitudinalTemporalInformationModified = "REMOVED"


def _uid(value: str, key: bytes) -> str:
    """Another UID for a UID, the same each time under one key."""
    digest = hashlib.blake2b(value.encode(), key=key, person=b"uid", digest_size=16).digest()
    return f"2.25.{uuid.UUID(bytes=digest, version=5).int}"

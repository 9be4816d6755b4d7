"""Who an object is: UIDs that follow from its content, and bytes that are the same each time."""

from __future__ import annotations

import hashlib
import io
import uuid
from typing import Any

from monai_brain import __version__

# A UUID drawn once for this program, as PS3.5 B.2 writes one.
IMPLEMENTATION_UID = "2.25.56391942186132846592856285079380220253"
IMPLEMENTATION_NAME = f"MONAI_BRAIN_{'.'.join(__version__.split('.')[:2])}"[:16]
_VOLATILE = (
    *("InstanceCreationDate", "InstanceCreationTime", "DateOfSecondaryCapture", "TimeOfSecondaryCapture"),
    *("AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "ContributingEquipmentSequence"),
)


def uid(*parts: str) -> str:
    """A UID that is the same for the same parts, and another for any others: 2.25 and a hashed UUID."""
    digest = hashlib.sha256(b"".join(_framed(part.encode()) for part in parts)).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}"


def _framed(data: bytes) -> bytes:
    """The length goes first, so that no two lists of parts are one text."""
    return len(data).to_bytes(8, "big") + data


def settle(dataset: Any, *parts: str) -> bytes:
    """The bytes of a file for the dataset, whose SOP Instance UID is derived here from all the rest of it.

    Two objects that differ in anything have two UIDs, whatever made them differ; the same object made
    again is the same to the last byte.
    """
    for keyword in _VOLATILE:
        if keyword in dataset:
            delattr(dataset, keyword)
    name_dimensions(dataset, *parts)
    dataset.SOPInstanceUID = "2.25.0"
    dataset.SOPInstanceUID = uid("instance", *parts, hashlib.sha256(encoded(dataset)).hexdigest())
    return encoded(dataset)


def name_dimensions(dataset: Any, *parts: str) -> None:
    """Give a multi-frame object's dimension organization a derived UID, where it has one drawn at random."""
    derived = uid("dimensions", *parts)
    for sequence in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in dataset.get(sequence) or []:
            item.DimensionOrganizationUID = derived


def encoded(dataset: Any) -> bytes:
    """The dataset as a DICOM file: explicit little endian, our own file meta."""
    import pydicom
    from pydicom.dataset import FileMetaDataset

    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = IMPLEMENTATION_NAME
    dataset.file_meta, dataset.preamble = meta, bytes(128)
    buffer = io.BytesIO()
    if int(pydicom.__version__.split(".")[0]) < 3:
        dataset.is_little_endian, dataset.is_implicit_VR = True, False
        pydicom.dcmwrite(buffer, dataset, write_like_original=False)
    else:
        pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()

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
_NOBODY = f"2.25.{10**38}"  # stands for the UID while its content is hashed
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
    dataset.SOPInstanceUID = _NOBODY
    body = _body(dataset)
    derived = uid("instance", *parts, hashlib.sha256(body).hexdigest())
    dataset.SOPInstanceUID = derived
    # Encoding it all a second time would cost more than all else here.
    return _head(dataset) + body.replace(_element(_NOBODY), _element(derived), 1)


def name_dimensions(dataset: Any, *parts: str) -> None:
    """Give a multi-frame object's dimension organization a derived UID, where it has one drawn at random."""
    derived = uid("dimensions", *parts)
    for sequence in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in dataset.get(sequence) or []:
            item.DimensionOrganizationUID = derived


def _element(instance: str) -> bytes:
    """(0008,0018) in explicit little endian."""
    value = instance.encode() + b"\0" * (len(instance) % 2)
    return b"\x08\x00\x18\x00UI" + len(value).to_bytes(2, "little") + value


def _body(dataset: Any) -> bytes:
    """The dataset in explicit little endian, without file meta information."""
    import pydicom

    buffer = io.BytesIO()
    if int(pydicom.__version__.split(".")[0]) < 3:
        dataset.is_little_endian, dataset.is_implicit_VR = True, False
        dataset.file_meta = _meta(dataset)
        pydicom.dcmwrite(buffer, dataset, write_like_original=False)
    else:
        dataset.file_meta = _meta(dataset)
        pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    data = buffer.getvalue()
    return data[144 + int.from_bytes(data[140:144], "little") :]


def _head(dataset: Any) -> bytes:
    """Preamble, prefix and our own file meta information."""
    from pydicom.filewriter import write_file_meta_info

    buffer = io.BytesIO()
    write_file_meta_info(buffer, _meta(dataset), enforce_standard=True)
    return bytes(128) + b"DICM" + buffer.getvalue()


def _meta(dataset: Any) -> Any:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = IMPLEMENTATION_NAME
    return meta

"""What a file's header says of an image before its pixels are read: modality, sequence, view, frames.

A DICOM header is full of identities. The identifiers stay in memory, apart from everything that is
written: `Header.described` is what an output may hold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_brain.data.dicom import code, refuse_bare
from monai_brain.data.formats import recognised
from monai_brain.data.mri_sequence import plane_of, weighting
from monai_brain.data.slices import Options, UnreadableImageError
from monai_brain.data.volumes import volume_header
from monai_brain.errors import MissingExtraError

_CODES = {
    "modality": "Modality",
    "body_part": "BodyPartExamined",
    "view_position": "ViewPosition",
    "laterality": "ImageLaterality",
    "presentation_intent": "PresentationIntentType",
    "partial_view": "PartialView",
    "implant": "BreastImplantPresent",
    "conversion": "ConversionType",
    "burned_in": "BurnedInAnnotation",
}
_LISTS = {"image_type": "ImageType", "scanning_sequence": "ScanningSequence"}
_IDENTIFIERS = {
    "instance": "SOPInstanceUID",
    "series": "SeriesInstanceUID",
    "study": "StudyInstanceUID",
    "patient": "PatientID",
    "station": "StationName",
    "date": "StudyDate",
}
_NUMBERS = ("EchoTime", "RepetitionTime", "InversionTime", "NumberOfFrames")
_FURTHER = (
    "SOPClassUID", "Laterality", "ContrastBolusAgent", "ContrastBolusAgentSequence",
    "ImageOrientationPatient",
    "ViewCodeSequence", "PartialViewCodeSequence", "PartialViewDescription", "AcquisitionContrast",
    "SpecimenDescriptionSequence", "SpecimenIdentifier", "SharedFunctionalGroupsSequence", "Rows", "Columns",
    "DiffusionBValue", "IssuerOfPatientID",
)  # fmt: skip
_TAGS = (*_CODES.values(), *_LISTS.values(), *_IDENTIFIERS.values(), *_NUMBERS, *_FURTHER)
_TOMOSYNTHESIS = ("1.2.840.10008.5.1.4.1.1.13.1.3", "1.2.840.10008.5.1.4.1.1.13.1.4")
# DICOM's context groups 4014 and 4015, as SNOMED CT and as the older SNOMED RT.
_VIEWS = {
    "399162004": "CC", "R-10242": "CC", "399368009": "MLO", "R-10226": "MLO", "399260004": "ML",
    "R-10224": "ML",
    "399352003": "LM", "R-10228": "LM", "399099002": "LMO", "R-10230": "LMO", "399192008": "XCCL",
    "R-1024A": "XCCL", "399101009": "XCCM", "R-1024B": "XCCM", "399196006": "FB", "R-10244": "FB",
    "399188001": "SIO", "R-102D0": "SIO", "441555000": "ISO", "R-40AAA": "ISO",
    "127457009": "SPECIMEN", "G-8310": "SPECIMEN",
}  # fmt: skip
_MODIFIERS = {
    "399055006": "SPOT", "R-102D7": "SPOT", "399163009": "MAGNIFICATION", "R-102D6": "MAGNIFICATION",
    "399209000": "IMPLANT DISPLACED", "R-102D5": "IMPLANT DISPLACED", "399161006": "CLEAVAGE",
    "R-102D2": "CLEAVAGE", "399011000": "AXILLARY TAIL", "R-102D1": "AXILLARY TAIL",
    "399110001": "TANGENTIAL",
    "R-102C2": "TANGENTIAL", "399197002": "ROLLED", "R-102D3": "ROLLED", "399226006": "ROLLED",
    "R-102D4": "ROLLED", "415670009": "ROLLED", "R-102C9": "ROLLED", "414493004": "ROLLED",
    "R-102CA": "ROLLED",
    "441752004": "ANTERIOR COMPRESSION", "P2-00161": "ANTERIOR COMPRESSION",
}  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What is known of a file without its pixels.

    Attributes:
        format: The format's name, as `recognised` tells it.
        frames: How many images the file holds.
        described: Short codes and flags that can name nobody; a fact that is not known is absent.
        identifiers: UIDs, patient, station and date as the file states them. They stay in memory.
    """

    format: str
    frames: int = 1
    described: dict[str, Any] = field(default_factory=dict)
    identifiers: dict[str, str] = field(default_factory=dict)


def read_header(path: Path) -> Header:
    """The header of an image file.

    Raises:
        UnreadableImageError: The file is no image, or its header cannot be read.
    """
    known = recognised(path)
    kind = known.name
    if known.function == "refuse_bare":
        refuse_bare(path, Options())
    if kind in ("nifti", "nrrd", "metaimage"):
        frames, plane = volume_header(path, kind)
        return Header(kind, frames, {"orientation": plane} if plane else {})
    if kind != "dicom":
        return Header(kind)
    dataset = _dataset(path)
    try:
        described = _described(dataset)
        frames = max(1, int(dataset.get("NumberOfFrames") or 1))
        named = {name: str(dataset.get(keyword) or "") for name, keyword in _IDENTIFIERS.items()}
        if named["patient"]:  # two hospitals may give one number to two people
            named["patient"] = f"{dataset.get('IssuerOfPatientID') or ''}\\{named['patient']}"
    except Exception as error:  # noqa: BLE001  damaged headers raise whatever reads them; their words may hold a name
        kind_of = type(error).__name__
        raise UnreadableImageError(path.name, "damaged", f"the header makes no sense ({kind_of})") from None
    return Header("dicom", frames, described, {name: value for name, value in named.items() if value})


def _unvalidated(pydicom: Any) -> None:
    """Ask pydicom not to judge values: its complaints quote them, and they may be names."""
    settings = getattr(pydicom.config, "settings", None)
    if settings is not None and settings.reading_validation_mode != pydicom.config.IGNORE:
        settings.reading_validation_mode = pydicom.config.IGNORE


def _dataset(path: Path) -> Any:
    try:
        import pydicom
    except ImportError as error:
        raise MissingExtraError("pydicom", "dicom") from error
    try:
        _unvalidated(pydicom)
        with path.open("rb") as stream:  # a stream, because pydicom logs the paths that it is given
            return pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=list(_TAGS))
    except Exception as error:  # noqa: BLE001  damaged headers raise whatever the parser trips over
        kind = type(error).__name__
        raise UnreadableImageError(path.name, "damaged", f"the header cannot be read ({kind})") from None


def _described(dataset: Any) -> dict[str, Any]:
    found: dict[str, Any] = {name: code(dataset.get(keyword)) for name, keyword in _CODES.items()}
    found |= {name: _codes(dataset.get(keyword)) for name, keyword in _LISTS.items()}
    found["laterality"] = found["laterality"] or code(dataset.get("Laterality"))
    views = _meanings(dataset.get("ViewCodeSequence"), _VIEWS)
    found["view_position"] = found["view_position"] or (views[0] if views else "")
    found["view_modifiers"] = sorted(
        name
        for view in dataset.get("ViewCodeSequence") or []
        for name in _meanings(view.get("ViewModifierCodeSequence"), _MODIFIERS)
    )
    found["partial_view"] = found["partial_view"] == "YES" or bool(
        dataset.get("PartialViewCodeSequence") or dataset.get("PartialViewDescription")
    )
    found["specimen"] = "SPECIMEN" in views or bool(
        dataset.get("SpecimenDescriptionSequence") or dataset.get("SpecimenIdentifier")
    )
    found["tomosynthesis"] = str(dataset.get("SOPClassUID") or "") in _TOMOSYNTHESIS or (
        "TOMOSYNTHESIS" in found["image_type"]
    )
    for flag in ("implant", "burned_in"):
        found[flag] = found[flag] == "YES"
    if found["modality"] == "MR":
        found["weighting"] = weighting(dataset, found["scanning_sequence"], found["image_type"])
        agent = dataset.get("ContrastBolusAgent") or dataset.get("ContrastBolusAgentSequence")
        found["contrast_agent"] = bool(agent)
    if found["modality"] == "MG":
        found["technique"] = technique(found["conversion"])
    found["orientation"] = plane_of(dataset)
    for name, keyword in (("height", "Rows"), ("width", "Columns")):
        if dataset.get(keyword) is not None:
            found[name] = int(dataset.get(keyword))
    return {name: value for name, value in found.items() if value not in ("", [], None)}


def technique(conversion: str) -> str:
    """Film or digital: how a mammogram of this Conversion Type was made."""
    return "film" if conversion in ("DF", "SD") else "digital"


def _codes(values: Any) -> list[str]:
    several = [values] if isinstance(values, str) or values is None else list(values)
    return [text for value in several if (text := code(value))]


def _meanings(sequence: Any, known: dict[str, str]) -> list[str]:
    return [known[value] for item in sequence or [] if (value := str(item.get("CodeValue") or "")) in known]

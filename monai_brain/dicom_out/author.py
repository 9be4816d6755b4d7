"""Who says it: the model, its weights, this package; and what every object of theirs carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monai_brain import __version__
from monai_brain.bundles import Bundle
from monai_brain.dicom_out import deidentified, identity
from monai_brain.dicom_out.codes import CodeTriplet, ReportCodes
from monai_brain.dicom_out.settings import Settings
from monai_brain.dicom_out.sources import LATIN, TAKEN, Source

MAKER = "monai_brain"
RESEARCH = "research use only"
_CHANGED = ("SOPClassUID", "SpecificCharacterSet", *TAKEN)


@dataclass(frozen=True)
class Author:
    """A model with given weights, under given settings."""

    bundle: Bundle
    codes: ReportCodes
    settings: Settings
    weights_sha256: str

    @property
    def version(self) -> str:
        """The bundle's version."""
        return str(self.bundle.metadata.get("version", ""))

    @property
    def parts(self) -> tuple[str, ...]:
        """All on this side that changes what an object says."""
        return (
            *(__version__, self.bundle.name, self.version, self.weights_sha256, self.bundle.disclaimer),
            *(self.settings.written(), self.codes.written),
        )

    def uid(self, what: str, *of: str) -> str:
        """The UID of what this author says of something."""
        return identity.uid(what, *of, *self.parts)


def stand_in(source: Source) -> Any:
    """The source's header without the person, for highdicom, whose messages repeat what they refuse."""
    from pydicom.dataset import Dataset

    header = Dataset()
    header.update({element.tag: element for element in source.header if element.keyword not in _CHANGED})
    header.SOPClassUID = source.header.SOPClassUID
    for keyword, always in TAKEN.items():
        if always:
            setattr(header, keyword, "")
    return header


def signed(
    dataset: Any, author: Author, sources: Sequence[Source], kind: str, instance: int, number: int
) -> bytes:
    """The finished object as a file: person, times and character set of the source, UIDs derived.

    Args:
        dataset: what highdicom made.
        author: who says it.
        sources: the images it is about, of one study; the latest one's time becomes the object's.
        kind: what stands in the series' description.
        instance: its number in its series.
        number: added to the settings' series number.
    """
    first = sources[0].header
    for keyword in TAKEN:
        if keyword in first:
            dataset[keyword] = first[keyword]
        elif keyword in dataset:
            delattr(dataset, keyword)
    _characters(dataset, first)
    dataset.Manufacturer, dataset.ManufacturerModelName = MAKER, author.bundle.name[:64]
    dataset.SoftwareVersions = [__version__, f"model {author.version}"[:64]]
    dataset.DeviceSerialNumber = author.weights_sha256[:16] or "unknown"
    dataset.SeriesDescription = f"{author.bundle.name[:32]} {kind}"[:44] + f", {RESEARCH}"
    dataset.SeriesNumber, dataset.InstanceNumber = author.settings.series_number + number, instance
    date, time = max(source.moment for source in sources)
    dataset.ContentDate, dataset.ContentTime = date, time
    dataset.SeriesDate, dataset.SeriesTime = date, time
    whose = {str(source.header.SeriesInstanceUID) for source in sources}
    about = whose if author.codes.scope == "series" else {str(first.StudyInstanceUID)}
    dataset.SeriesInstanceUID = author.uid(f"series {kind}", *sorted(about))
    _schemes(dataset, author.codes)
    if author.settings.deidentified:
        deidentified.mark(dataset)
    images = sorted(f"{source.header.SOPInstanceUID} {source.frame or 0}" for source in sources)
    return identity.settle(dataset, kind, *images, *author.parts)


def concept(code: CodeTriplet) -> Any:
    """The code as highdicom takes it."""
    from pydicom.sr.coding import Code

    return Code(code.value, code.scheme, code.meaning)


def _characters(dataset: Any, header: Any) -> None:
    """The source's character set; its names in the bytes they came in."""
    if "SpecificCharacterSet" in dataset:
        del dataset.SpecificCharacterSet
    own = header.get("SpecificCharacterSet")
    text = "".join(str(header.get(keyword) or "") for keyword in TAKEN)
    if own is not None:
        dataset.SpecificCharacterSet = own
    elif not text.isascii():
        dataset.SpecificCharacterSet = LATIN  # bytes beyond ASCII without a set were read as Latin


def _schemes(dataset: Any, codes: ReportCodes) -> None:
    """Whose the private coding schemes are."""
    from pydicom.dataset import Dataset

    items = []
    for designator, whose in sorted(codes.schemes.items()):
        item = Dataset()
        item.CodingSchemeDesignator, item.CodingSchemeName = designator, whose[:64]
        item.CodingSchemeResponsibleOrganization = whose[:64]
        items.append(item)
    if items:
        dataset.CodingSchemeIdentificationSequence = items

"""A result as a structured report: TID 1500, Comprehensive SR, by highdicom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monai_brain import __version__
from monai_brain.dicom_out.author import MAKER, Author, concept, signed, stand_in
from monai_brain.dicom_out.settings import RULES
from monai_brain.dicom_out.sources import Source
from monai_brain.errors import MissingExtraError

KIND = "report"
UNVERIFIED = "Not verified by a person."
_SIDES = {"L": "Left", "R": "Right", "B": "RightAndLeft"}
_VIEWS = {"CC": ("399162004", "cranio-caudal"), "MLO": ("399368009", "medio-lateral oblique")}


@dataclass(frozen=True)
class Judged:
    """An image with the probability of each class."""

    source: Source
    probs: Mapping[str, float]
    predicted: str


def of_series(author: Author, judged: Sequence[Judged]) -> bytes:
    """The report of a series as a file: one group a class, with the slices that speak most for it."""
    values = series_values(author, judged)
    derivation = RULES[author.settings.rule]
    groups = []
    for label, value in values.items():
        groups.append(
            _group(
                author,
                judged[0].source,
                name=f"{author.bundle.name}: {label}",
                finding=concept(author.codes.classes[label]),
                site=_site(author, ""),
                measurements=[_probability(value, derivation)],
                evaluations=[],
                images=[one.source for one in highest(judged, label, author.settings.top)],
            )
        )
    best = max(values, key=lambda label: values[label])
    remark = (
        f"{author.bundle.disclaimer} {UNVERIFIED} Highest value: {best}, {values[best]:.2f} %. "
        f"Rule: {derivation[2]}; {len(judged)} slices."
    )
    if author.bundle.facts.get("assumes"):
        remark += f" Assumes {author.bundle.facts['assumes']}."
    return _document(author, judged, groups, remark)


def of_exam(author: Author, judged: Sequence[Judged]) -> bytes:
    """The report of an examination in views as a file: one group a view, with its side and its class."""
    from highdicom.sr import QualitativeEvaluation
    from pydicom.sr.codedict import codes

    finding = author.codes.finding or author.codes.site
    groups, words = [], []
    for number, one in enumerate(judged, start=1):
        place = f"{one.source.side}{one.source.view}" or "view not named"
        evaluations = [QualitativeEvaluation(concept(finding), concept(author.codes.classes[one.predicted]))]
        if one.source.view in _VIEWS:
            value, meaning = _VIEWS[one.source.view]
            evaluations.append(QualitativeEvaluation(codes.DCM.ImageView, _code(value, "SCT", meaning)))
        groups.append(
            _group(
                author,
                one.source,
                name=f"{author.bundle.name}: view {number}, {place}",
                finding=concept(finding),
                site=_site(author, one.source.side),
                measurements=[
                    _probability(percent(share), None, concept(author.codes.classes[label]))
                    for label, share in one.probs.items()
                ],
                evaluations=evaluations,
                images=[one.source],
            )
        )
        words.append(f"{place}: {one.predicted}, {percent(one.probs[one.predicted]):.2f} %")
    remark = f"{author.bundle.disclaimer} {UNVERIFIED} {'; '.join(words)}."
    return _document(author, judged, groups, remark)


def series_values(author: Author, judged: Sequence[Judged]) -> dict[str, float]:
    """The series' value of each class in percent, by the settings' rule."""
    values = {}
    for label in author.bundle.labels:
        shares = [one.probs[label] for one in judged]
        values[label] = percent(max(shares) if author.settings.rule == "max" else sum(shares) / len(shares))
    return values


def highest(judged: Sequence[Judged], label: str, count: int) -> list[Judged]:
    """The images that speak most for a class, the highest first; equal ones in the order of the series."""
    return sorted(judged, key=lambda one: (-round(one.probs[label], 6), one.source.order))[:count]


def percent(share: float) -> float:
    """A probability in percent, to two places: what lies behind them differs between machines."""
    return round(100 * float(share), 2)


def _document(author: Author, judged: Sequence[Judged], groups: list[Any], remark: str) -> bytes:
    try:
        from highdicom import sr
    except ImportError as error:
        raise MissingExtraError("highdicom", "dicom") from error
    from pydicom.sr.codedict import codes

    observer = sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=author.uid("device"),
            name=MAKER,
            manufacturer_name=MAKER,
            model_name=author.bundle.name[:64],
            serial_number=author.weights_sha256[:16] or "unknown",
        ),
    )
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=concept(author.codes.procedure),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    report[0].ContentSequence.append(
        sr.TextContentItem(
            name=codes.DCM.Comment, value=remark, relationship_type=sr.RelationshipTypeValues.CONTAINS
        )
    )
    sources = [one.source for one in judged]
    headers = {str(source.header.SOPInstanceUID): stand_in(source) for source in sources}
    document = sr.ComprehensiveSR(
        evidence=list(headers.values()),
        content=report[0],
        series_instance_uid="2.25.1",
        series_number=1,
        sop_instance_uid="2.25.1",
        instance_number=1,
        manufacturer=MAKER,
        is_complete=True,
        is_final=False,
        is_verified=False,
    )
    return signed(document, author, sources, KIND, 1, 0)


def _group(
    author: Author,
    about: Source,
    *,
    name: str,
    finding: Any,
    site: Any,
    measurements: list[Any],
    evaluations: list[Any],
    images: Sequence[Source],
) -> Any:
    from highdicom import sr

    whose = about.header.SeriesInstanceUID if author.codes.scope == "series" else about.header.SOPInstanceUID
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=author.uid("tracking", str(whose), str(about.frame or 0), name), identifier=name[:64]
        ),
        finding_type=finding,
        algorithm_id=_algorithm(author),
        finding_sites=[site],
        measurements=measurements,
        qualitative_evaluations=evaluations or None,
        source_images=[_reference(source) for source in images],
    )


def _algorithm(author: Author) -> Any:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    algorithm = sr.AlgorithmIdentification(
        name=author.bundle.name,
        version=author.version,
        parameters=[
            f"weights SHA-256 {author.weights_sha256 or 'unknown'}",
            f"monai_brain {__version__}",
            f"settings {author.settings.written()}",
            author.bundle.disclaimer,
        ],
    )
    algorithm.append(  # the argument for it is younger than the oldest highdicom that serves
        sr.CodeContentItem(
            name=codes.DCM.AlgorithmFamily,
            value=codes.DCM.ArtificialIntelligence,
            relationship_type=sr.RelationshipTypeValues.HAS_CONCEPT_MOD,
        )
    )
    return algorithm


def _reference(source: Source) -> Any:
    from highdicom.sr import SourceImageForMeasurementGroup

    frames = [source.frame] if source.frame is not None else None
    header = source.header
    return SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID, frames)


def _probability(value: float, derivation: tuple[str, str, str] | None, finding: Any = None) -> Any:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    measurement = sr.Measurement(
        name=codes.DCM.Probability,
        value=value,
        unit=codes.UCUM.Percent,
        derivation=_code(derivation[0], "SCT", derivation[1]) if derivation else None,
    )
    if finding is not None:  # of which class, where one group holds several
        item = sr.CodeContentItem(
            name=codes.DCM.Finding,
            value=finding,
            relationship_type=sr.RelationshipTypeValues.HAS_CONCEPT_MOD,
        )
        measurement[0].ContentSequence = sr.ContentSequence([item])
    return measurement


def _site(author: Author, side: str) -> Any:
    from highdicom.sr import FindingSite
    from pydicom.sr.codedict import codes

    laterality = getattr(codes.SCT, _SIDES[side]) if side else None
    return FindingSite(anatomic_location=concept(author.codes.site), laterality=laterality)


def _code(value: str, scheme: str, meaning: str) -> Any:
    from pydicom.sr.coding import Code

    return Code(value, scheme, meaning)

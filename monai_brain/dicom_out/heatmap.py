"""Heat maps as DICOM: a picture for any viewer (Secondary Capture), and the values (Parametric Map)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_brain.dicom_out import identity
from monai_brain.dicom_out.author import MAKER, Author, signed, stand_in
from monai_brain.dicom_out.sources import Source
from monai_brain.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from monai_brain.inference.explain import Explanation

PICTURE, VALUES = "heat map", "heat values"
STEPS = 1000  # the map is stored in thousandths: below that, machines differ
# The gradient of the class shapes these maps; Eigen-CAM and Score-CAM know none.
_GRADIENT = ("gradcam", "gradcam++", "layercam")
# Younger than the dictionary of the oldest pydicom that serves.
_WEIGHTED = ("130403", "DCM", "Gradient-weighted class activation")
_ACTIVATION = ("130402", "DCM", "Class activation")
_MR = "1.2.840.10008.5.1.4.1.1.4"


def picture(author: Author, source: Source, map_: Explanation, instance: int) -> bytes:
    """The map over the image as a Secondary Capture file, with the disclaimer burned in."""
    from monai_brain.inference import overlays

    try:
        from highdicom.sc import SCImage
    except ImportError as error:
        raise MissingExtraError("highdicom", "dicom") from error
    if author.settings.deidentified and source.burned_in != "NO":
        map_ = dataclasses.replace(map_, image=np.zeros_like(map_.image))  # its pixels may hold a name
    header = source.header
    dataset: Any = SCImage(
        pixel_array=np.ascontiguousarray(overlays.picture(map_, author.bundle.disclaimer)),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),
        study_instance_uid=header.StudyInstanceUID,
        series_instance_uid="2.25.1",
        series_number=1,
        sop_instance_uid="2.25.1",
        instance_number=1,
        manufacturer=MAKER,
    )
    dataset.PatientOrientation = ""  # a caption stands under the image, and it may be enlarged
    dataset.ConversionType = "WSD"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    _anatomy(dataset, author, source)
    if source.burned_in and not author.settings.deidentified:
        dataset.BurnedInAnnotation = source.burned_in
    dataset.DerivationDescription = _words(author, map_)
    dataset.SourceImageSequence = [_reference(source)]
    return signed(dataset, author, [source], PICTURE, instance, 1)


def values(author: Author, source: Source, map_: Explanation, instance: int) -> bytes:
    """The map's values, 0 to 1, as a Parametric Map file in the image's own place.

    Raises:
        DataError: The map is not as large as the image.
    """
    try:
        from highdicom.pm import ParametricMap, RealWorldValueMapping
    except ImportError as error:
        raise MissingExtraError("highdicom", "dicom") from error
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    header = stand_in(source)
    if map_.heat.shape != (header.Rows, header.Columns):
        raise DataError(
            f"{source.case}: the map has {map_.heat.shape}, the image {header.Rows, header.Columns}"
        )
    _place(header)
    gradient = map_.method in _GRADIENT
    quantity = Code(*(_WEIGHTED if gradient else _ACTIVATION))
    dataset: Any = ParametricMap(
        source_images=[header],
        pixel_array=(np.clip(map_.heat, 0, 1) * STEPS).round().astype(np.uint16),
        series_instance_uid="2.25.1",
        series_number=1,
        sop_instance_uid="2.25.1",
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=author.bundle.name,
        software_versions="1",
        device_serial_number="1",
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            RealWorldValueMapping(
                lut_label=map_.method.upper()[:16],
                lut_explanation=f"{map_.method} for {map_.class_name}"[:64],
                unit=codes.UCUM.NoUnits,
                value_range=[0, STEPS],
                slope=1 / STEPS,
                intercept=0.0,
                quantity_definition=quantity,
            )
        ],
        window_center=STEPS / 2,
        window_width=float(STEPS),
        content_description=f"{map_.class_name}, {author.bundle.name}"[:64],
        content_label="HEAT_MAP",
    )
    _correct(dataset, source)
    dataset.DerivationDescription = _words(author, map_)
    _anatomy(dataset, author, source)
    return signed(dataset, author, [source], VALUES, instance, 2)


def _words(author: Author, map_: Explanation) -> str:
    return (
        f"{map_.method} of layer {map_.layer} for class {map_.class_name}, 0 to 1, by {author.bundle.name} "
        f"{author.version}, weights SHA-256 {author.weights_sha256 or 'unknown'}. {author.bundle.disclaimer}"
    )


def _anatomy(dataset: Any, author: Author, source: Source) -> None:
    body_part = source.body_part or author.codes.body_part
    if body_part:
        dataset.BodyPartExamined = body_part
    if source.side in ("L", "R"):
        dataset.Laterality = source.side
    elif author.codes.scope == "exam":
        dataset.Laterality = ""  # a paired organ whose side the source does not say


def _reference(source: Source) -> Any:
    from pydicom.dataset import Dataset

    item, purpose = Dataset(), Dataset()
    item.ReferencedSOPClassUID = source.header.SOPClassUID
    item.ReferencedSOPInstanceUID = source.header.SOPInstanceUID
    if source.frame is not None:
        item.ReferencedFrameNumber = source.frame
    purpose.CodeValue, purpose.CodingSchemeDesignator = "121322", "DCM"
    purpose.CodeMeaning = "Source image for image processing operation"
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item


def _place(header: Any) -> None:
    """Let highdicom take any image for a plain slice; one without a place gets a space of its own."""
    header.SOPClassUID = _MR  # one frame of an enhanced image too; the references are put right afterwards
    if "FrameOfReferenceUID" not in header:
        header.FrameOfReferenceUID = identity.uid("frame of reference", str(header.SOPInstanceUID))
        header.ImageOrientationPatient, header.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 0]
    if "PixelSpacing" not in header:
        header.PixelSpacing = [1, 1]


def _correct(dataset: Any, source: Source) -> None:
    """Give each reference to the source its true SOP class, and its frame."""
    for item in _items(dataset):
        if item.get("ReferencedSOPInstanceUID") == source.header.SOPInstanceUID:
            item.ReferencedSOPClassUID = source.header.SOPClassUID
            if source.frame is not None:
                item.ReferencedFrameNumber = source.frame


def _items(dataset: Any) -> Any:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from _items(item)

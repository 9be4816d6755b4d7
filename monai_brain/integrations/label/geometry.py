"""Maps in the place of the images that they explain: the same grid, the same position in the patient."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_brain.data.headers import read_header
from monai_brain.data.volumes import recognised_volume
from monai_brain.errors import ConfigurationError, MissingExtraError, OutputError

EXTENSIONS = (".nii.gz", ".nii", ".nrrd", ".mha", ".png")
VOLUMES = {"nifti": "NiftiImageIO", "nrrd": "NrrdImageIO", "metaimage": "MetaImageIO"}


@dataclass(frozen=True)
class Geometry:
    """Where an image lies, in ITK's terms (LPS, millimetres): along each axis, the fastest first."""

    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: npt.NDArray[np.float64]  # column k is where axis k runs


def plain(axes: int = 2) -> Geometry:
    """The geometry of a picture, which has none of its own."""
    return Geometry((1.0,) * axes, (0.0,) * axes, np.eye(axes))


def of_file(path: Path) -> Geometry:
    """The geometry of a volume or a DICOM file; of any other file that of a picture."""
    form = read_header(path).format
    if form == "dicom":
        reader = _itk().GDCMImageIO.New()
    elif form in VOLUMES:
        reader = getattr(_itk(), VOLUMES[recognised_volume(path)]).New()
    else:
        return plain()
    try:
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
    except Exception:  # noqa: BLE001  ITK reads fewer DICOM files than we do, and says so by RuntimeError
        return plain(3)
    axes = range(reader.GetNumberOfDimensions())
    turn = np.array([[float(value) for value in reader.GetDirection(axis)] for axis in axes]).T
    return Geometry(
        tuple(float(reader.GetSpacing(axis)) for axis in axes),
        tuple(float(reader.GetOrigin(axis)) for axis in axes),
        turn,
    )


def of_series(paths: Sequence[Path]) -> Geometry:
    """The geometry of the slices of a series, in their order."""
    first = of_file(paths[0])
    if len(paths) < 2 or len(first.origin) != 3:
        return first
    span = np.subtract(of_file(paths[-1]).origin, first.origin)
    between = float(np.linalg.norm(span)) / (len(paths) - 1)
    return replace(first, spacing=(*first.spacing[:2], between or first.spacing[2]))


def in_order(paths: Sequence[Path]) -> list[Path]:
    """The files of one series by their place along its normal, those without a place by their name."""
    import pydicom

    found: list[tuple[float, int, str, Path]] = []
    for path in paths:
        with path.open("rb") as stream:  # a stream, because pydicom logs the paths that it is given
            dataset: Any = pydicom.dcmread(
                stream,
                stop_before_pixels=True,
                specific_tags=["ImagePositionPatient", "ImageOrientationPatient", "InstanceNumber"],
            )
        place, turn = dataset.get("ImagePositionPatient"), dataset.get("ImageOrientationPatient")
        along = 0.0
        if place and turn:
            normal = np.cross(np.array(turn[:3], float), np.array(turn[3:], float))
            along = float(np.dot(normal, np.array(place, float)))
        number = str(dataset.get("InstanceNumber") or "0")
        found.append((round(along, 4), int(number) if re.fullmatch(r"-?\d+", number) else 0, path.name, path))
    return [path for *_, path in sorted(found)]


def write(values: npt.NDArray[Any], geometry: Geometry, path: Path) -> None:
    """Write a map, last axis first, as an image in the given place.

    Raises:
        ConfigurationError: The path's ending is none of `EXTENSIONS`, or a PNG is to hold a volume.
        OutputError: It cannot be written.
    """
    ending = extension(path.name)
    if ending == ".png":
        _picture(values, path)
        return
    itk = _itk()
    axes = len(geometry.spacing)
    array = np.ascontiguousarray(values.reshape((1,) * (axes - values.ndim) + values.shape))
    image = itk.image_from_array(array)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(itk.matrix_from_array(np.ascontiguousarray(geometry.direction)))
    try:
        itk.imwrite(image, str(path))
    except RuntimeError:
        raise OutputError("The map cannot be written. Is the disk full?") from None


def extension(name: str) -> str:
    """The ending of a map's file.

    Raises:
        ConfigurationError: It is none of `EXTENSIONS`.
    """
    for ending in EXTENSIONS:
        if name.lower().endswith(ending):
            return ending
    raise ConfigurationError(f"Maps are written as {', '.join(EXTENSIONS)}, not as {name!r}.")


def _picture(values: npt.NDArray[Any], path: Path) -> None:
    from PIL import Image

    flat = np.squeeze(values)
    if flat.ndim != 2:
        raise ConfigurationError("A PNG holds one image. Ask for the map of one slice, or for .nii.gz.")
    grey = flat if flat.dtype == np.uint8 else np.round(flat * 255).astype(np.uint8)
    Image.fromarray(grey).save(path)


def _itk() -> Any:
    try:
        import itk
    except ImportError as error:
        raise MissingExtraError("itk", "dicom") from error
    return itk

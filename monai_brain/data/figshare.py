"""The brain-tumour data set of figshare 1512427 in its original MATLAB files (CC BY 4.0).

Each file N.mat holds cjdata: label (1 meningioma, 2 glioma, 3 pituitary), PID, image, tumorBorder
and tumorMask. Version 7.3 is HDF5; older versions are read too.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from monai_brain.data import mat5
from monai_brain.data.grouping import family
from monai_brain.data.schema import Datalist, Item
from monai_brain.data.slices import Options, Slice, UnreadableImageError, check_size
from monai_brain.errors import DataError, MissingExtraError

CLASSES = {1: "meningioma", 2: "glioma", 3: "pituitary"}
PUBLISHED = 3064
HDF5 = b"\x89HDF\r\n\x1a\n"
_VERSION_5 = b"MATLAB 5.0"
_ONLY = ("image",)


def is_mat(head: bytes) -> bool:
    """Whether a file begins like a MATLAB file of version 5 or 7.3."""
    return head.startswith((_VERSION_5, b"MATLAB 7.3", HDF5)) or head[512:520] == HDF5


def read_mat(path: Path, options: Options) -> Slice:
    """The image of one file, rows down, in its stored type."""
    return _fields(path, _ONLY)["image"], {}


def read(path: str | os.PathLike[str]) -> Datalist:
    """The folder's files N.mat in the order of their numbers; `describe` says what is in each.

    If cvind.mat lies in the folder or above it, published_fold is the authors' own fold, 1 to 5. Of
    the 3064 files that were published, those that are not here are named under "missing".

    Raises:
        DataError: The folder holds no such file.
    """
    folder = Path(os.path.realpath(path))
    files = sorted((f for f in folder.rglob("*.mat") if f.stem.isdecimal()), key=lambda f: int(f.stem))
    if not files:
        raise DataError(
            f"{path}: holds no files 1.mat, 2.mat, ... Unpack the zip files of figshare 1512427 first."
        )
    folds = _published_folds(folder)
    items: list[Item] = []
    for file in files:
        item: Item = {"image": str(file), "source": "figshare"}
        if folds is not None and 1 <= int(file.stem) <= folds.size:
            item["published_fold"] = int(folds[int(file.stem) - 1])
        items.append(item)
    here = {int(file.stem) for file in files}
    missing = [f"{number}.mat" for number in range(1, PUBLISHED + 1) if number not in here]
    known = {"expected": PUBLISHED, "missing": missing, "describe": ("figshare 1", describe)}
    return {"name": "figshare 1512427", "training": items, **known}


def describe(file: Path) -> Item:
    """Class, patient, group and the tumour's box, all from one file.

    group is the PID without a last letter: MR040240 and MR040240B may be one person. tumor_box is
    centre, width and height of the tumour in fractions of the image.

    Raises:
        UnreadableImageError: A field is missing or makes no sense.
    """
    fields = _fields(file, ("label", "PID", "tumorMask"))
    label = fields["label"]
    if label not in CLASSES:
        raise UnreadableImageError(file.name, "damaged", f"label is {label}, expected 1, 2 or 3")
    patient = fields["PID"]
    return {
        "class_name": CLASSES[label],
        "patient_id": patient,
        "group": family(patient),
        "tumor_box": _box(fields["tumorMask"]),
    }


def _fields(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    with path.open("rb") as stream:
        old = stream.read(10) == _VERSION_5
    try:
        raw = _from_version_5(path, names) if old else _from_hdf5(path, names)
    except (MissingExtraError, MemoryError):
        raise
    except Exception as error:  # both libraries raise many kinds on damaged files
        kind = type(error).__name__
        raise UnreadableImageError(
            path.name, "damaged", f"cannot be read as a MATLAB file ({kind})"
        ) from error
    missing = [name for name in names if name not in raw and name != "tumorMask"]
    if missing:
        raise UnreadableImageError(path.name, "damaged", f"cjdata lacks {', '.join(missing)}")
    return {name: _CONVERTERS[name](path, raw.get(name)) for name in names}


def _from_hdf5(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("h5py", "tables") from error
    with h5py.File(path, "r") as file:
        group = file["cjdata"]
        # MATLAB runs down the columns, HDF5 along the rows: every array arrives transposed.
        return {name: np.asarray(group[name]).T for name in names if name in group}


def _from_version_5(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    fields = mat5.variables(path, "cjdata")["cjdata"].fields()
    return {name: fields[name].array() for name in names if name in fields}


def _image(path: Path, value: Any) -> np.ndarray:
    image = np.asarray(value)
    if image.ndim != 2 or image.dtype.kind not in "iuf":
        raise UnreadableImageError(path.name, "damaged", f"image has the shape {image.shape}, {image.dtype}")
    check_size(path, *image.shape)
    return np.ascontiguousarray(image.astype(image.dtype.newbyteorder("=")))


def _label(path: Path, value: Any) -> int:
    numbers = np.asarray(value, float).ravel()
    if numbers.size != 1 or not math.isfinite(numbers[0]) or numbers[0] != int(numbers[0]):
        raise UnreadableImageError(path.name, "damaged", "label is no whole number")
    return int(numbers[0])


def _patient(path: Path, value: Any) -> str:
    codes = np.asarray(value)
    text = "".join(codes.ravel()) if codes.dtype.kind == "U" else "".join(chr(int(c)) for c in codes.ravel())
    if not text.strip() or not text.isprintable():
        raise UnreadableImageError(path.name, "damaged", "PID is empty")
    return text.strip()


def _mask(path: Path, value: Any) -> np.ndarray:
    return np.zeros((0, 0), bool) if value is None else np.asarray(value) > 0


_CONVERTERS = {"image": _image, "label": _label, "PID": _patient, "tumorMask": _mask}


def _box(mask: np.ndarray) -> str:
    rows, columns = np.nonzero(mask)
    if rows.size == 0:
        return ""
    (height, width), (top, bottom) = mask.shape, (rows.min(), rows.max() + 1)
    left, right = columns.min(), columns.max() + 1
    numbers = (
        (left + right) / 2 / width,
        (top + bottom) / 2 / height,
        (right - left) / width,
        (bottom - top) / height,
    )
    return " ".join(f"{number:.4f}" for number in numbers)


def _published_folds(folder: Path) -> np.ndarray | None:
    for place in (folder, folder.parent):
        file = place / "cvind.mat"
        if file.is_file():
            try:
                return _cvind(file)
            except (MissingExtraError, MemoryError):
                raise
            except Exception as error:
                raise DataError(
                    f"{file}: cannot be read as the published folds ({type(error).__name__})"
                ) from error
    return None


def _cvind(file: Path) -> np.ndarray:
    with file.open("rb") as stream:
        old = stream.read(10) == _VERSION_5
    if old:
        return np.asarray(mat5.variables(file, "cvind")["cvind"].array()).ravel()
    import h5py

    with h5py.File(file, "r") as content:
        return np.asarray(content["cvind"]).ravel()

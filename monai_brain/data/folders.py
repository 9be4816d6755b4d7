"""Data sets that stand as one folder a class, under the many names that the public ones use."""

from __future__ import annotations

import os
import re
from pathlib import Path

from monai_brain.data.schema import Datalist, Item
from monai_brain.errors import DataError

ENDINGS = frozenset(
    f".{name}"
    for name in "bmp dcm dicom gif gz ima jpe jpeg jpg mat mha mhd nii nrrd pgm png pnm ppm tif tiff".split()  # noqa: SIM905
)
_SYNONYMS = {
    "glioma_tumor": "glioma",
    "meningioma_tumor": "meningioma",
    "pituitary_tumor": "pituitary",
    "pituitary_adenoma": "pituitary",
    "healthy": "no_tumor",
    "no": "no_tumor",
    "none": "no_tumor",
    "normal": "no_tumor",
    "notumor": "no_tumor",
}


def class_named(name: str) -> str:
    """The project's name of a class that a data set calls `name`; an unknown name stays as it is."""
    plain = re.sub(r"[\s_-]+", "_", name.strip().lower()).replace("tumour", "tumor")
    return _SYNONYMS.get(plain, plain if plain in _SYNONYMS.values() else name.strip())


def read(path: str | os.PathLike[str]) -> Datalist:
    """The files below `path` that are named as images; an image's class is the folder that it lies in.

    Folders above that one, such as Training and Testing, are not trusted as a split: the public sets
    hold copies on both sides. Files named otherwise stand under "left_out", with the reason. Whose
    images they are stays unknown, so patient_id and group are null. No file is opened here.

    Raises:
        DataError: There is no such folder, or no image in it.
    """
    root = Path(os.path.realpath(path))
    if not root.is_dir():
        raise DataError(f"{path}: not a folder. Expected a folder that holds one folder for each class.")
    items: list[Item] = []
    left_out: dict[str, str] = {}
    for file in files_below(root):
        shown = file.relative_to(root).as_posix()
        if not named_as_image(file):
            left_out[shown] = "it is not named as an image"
        elif file.parent == root:
            left_out[shown] = "it lies in no class folder"
        else:
            items.append(
                {"image": str(file), "class_name": class_named(file.parent.name), "source": root.name}
            )
    if not items:
        raise DataError(f"{path}: holds no image in a class folder ({len(left_out)} other files).")
    return {"name": root.name, "training": items, "left_out": left_out}


def files_below(folder: Path) -> list[Path]:
    """Every file below the folder, also what only looks like one, sorted; links to folders not followed."""
    found = []
    for place, inner, files in os.walk(folder):
        inner.sort()
        found += [Path(place, name) for name in sorted(files)]
    return found


def named_as_image(file: Path) -> bool:
    """Whether the name ends as an image's does, or has no ending, as many DICOM files have none."""
    ending = file.suffix.lower()
    return ending in ENDINGS or not ending or ending[1:].isdecimal()

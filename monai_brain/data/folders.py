"""Data sets that stand as one folder a class, under the many names that the public ones use."""

from __future__ import annotations

import os
import re
from pathlib import Path

from monai_brain.data import datalist
from monai_brain.data.formats import recognised
from monai_brain.data.schema import SCHEMA_VERSION, Datalist, Item
from monai_brain.data.slices import UnreadableImageError
from monai_brain.errors import DataError
from monai_brain.files import sha256

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
    """The datalist of all images below `path`; an image's class is the folder that it lies in.

    Folders above that one, such as Training and Testing, are not trusted as a split: the public sets
    hold copies on both sides. What is no image is named under "left_out", with the reason. Whose
    images they are stays unknown, so patient_id and group are null.

    Raises:
        DataError: There is no such folder, or no image in it.
    """
    root = Path(path).resolve()
    if not root.is_dir():
        raise DataError(f"{path}: not a folder. Expected a folder that holds one folder for each class.")
    items: list[Item] = []
    left_out: dict[str, str] = {}
    for folder, inner, files in os.walk(root):
        inner.sort()
        for name in sorted(files):
            file = Path(folder, name)
            shown = file.relative_to(root).as_posix()
            if file.parent == root:
                left_out[shown] = "it lies in no class folder"
                continue
            try:
                recognised(file)
            except UnreadableImageError as error:
                left_out[shown] = f"{error.reason}: {error.detail}"
                continue
            items.append(
                {"image": str(file), "class_name": class_named(file.parent.name), "sha256": sha256(file)}
            )
    if not items:
        raise DataError(f"{path}: holds no image in a class folder ({len(left_out)} other files).")
    for item in items:
        item.update(patient_id=None, group=None, source=root.name)
    labels = sorted({item["class_name"] for item in items})
    head = {"schema_version": SCHEMA_VERSION, "name": root.name, "labels": labels, "left_out": left_out}
    return datalist.read(head | {"training": items})

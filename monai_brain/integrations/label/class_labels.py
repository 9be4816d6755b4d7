"""The class that a submitted label means: no viewer has a field for it, so it arrives in several ways."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from monai_brain.errors import DataError, UnknownNameError

_MOST_BYTES = 64 << 20


def class_label(
    params: Mapping[str, Any], file: Path | None, known: Iterable[str], image: str = ""
) -> str | None:
    """The class name, or None where the label is something else, a mask of an organ say.

    Args:
        params: What came with the label. "label" is the class; "label_info" lists the segments, as 3D Slicer
            and OHIF send them: a single one that is named as a class is means that class.
        file: What was submitted; an XML file may be CVAT's, whose tags name the class.
        known: The classes of the models.
        image: The image's name, to find it among several in CVAT's file.

    Raises:
        UnknownNameError: No model has such a class.
        DataError: Several classes are named, or CVAT's file cannot be read.
    """
    classes = list(known)
    if params.get("label"):
        return _known(str(params["label"]), classes)
    segments = [
        str(one.get("name", "")) for one in params.get("label_info") or [] if isinstance(one, Mapping)
    ]
    named = [name for name in segments if _plain(name) in {_plain(one) for one in classes}]
    if len(named) > 1:
        raise DataError(f"Segments name {len(named)} classes: {', '.join(named)}. One is expected.")
    if named and len(segments) == 1:
        return _known(named[0], classes)
    if file is not None and file.suffix.lower() == ".xml":
        tags = _tags(file, image)
        if len(set(tags)) > 1:
            raise DataError(f"The tags name {len(set(tags))} classes: {', '.join(sorted(set(tags)))}.")
        return _known(tags[0], classes) if tags else None
    return None


def _known(name: str, classes: list[str]) -> str:
    for one in classes:
        if _plain(one) == _plain(name):
            return one
    raise UnknownNameError("class", name, classes)


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _tags(file: Path, image: str) -> list[str]:
    """The tags of the image in a file of CVAT ("CVAT for images"), or of the one image that it names."""
    try:
        text = file.read_bytes()
        if len(text) > _MOST_BYTES or b"<!ENTITY" in text:
            raise DataError("The XML file is too large, or defines entities. Export it from CVAT again.")
        root = ElementTree.fromstring(text)  # noqa: S314  nothing in it is defined by itself, see above
    except (OSError, ElementTree.ParseError) as error:
        raise DataError(f"The XML file cannot be read ({type(error).__name__}).") from None
    images = root.findall("image")
    if len(images) > 1:  # by its whole name, else by what stands after the folders
        names = [str(PurePosixPath(one.get("name", ""))) for one in images]
        wanted = [index for index, name in enumerate(names) if image in _forms(name)]
        last = PurePosixPath(image).name
        wanted = wanted or [i for i, name in enumerate(names) if last in _forms(PurePosixPath(name).name)]
        images = [images[index] for index in wanted]
    return [str(tag.get("label", "")) for one in images for tag in one.findall("tag")]


def _forms(name: str) -> tuple[str, str]:
    """A file's name with its ending and without."""
    return name, str(PurePosixPath(name).with_suffix("")) if PurePosixPath(name).name else name

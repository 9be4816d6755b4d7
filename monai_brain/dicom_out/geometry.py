"""Where an image lies in space, as its header says it: plain objects, and frames of enhanced ones."""

from __future__ import annotations

import math
import re
from typing import Any

_PLACE = {"ImageOrientationPatient": 6, "ImagePositionPatient": 3}
_FRAME_GROUPS = (
    *("PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence"),
    "FrameAnatomySequence",
)


def of_frame(given: Any, index: int) -> Any:
    """What an enhanced object says of one frame, beside what it says of all."""
    from pydicom.dataset import Dataset

    flat = Dataset()
    for keyword in (*_PLACE, "FrameOfReferenceUID", "PixelSpacing", "ImagerPixelSpacing", "SliceThickness"):
        if keyword in given:
            flat[keyword] = given[keyword]
    for name, number in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", index)):
        groups = given.get(name) or []
        for keyword in _FRAME_GROUPS if number < len(groups) else ():
            for item in (groups[number].get(keyword) or [])[:1]:
                flat.update(item)
                if keyword == "FrameAnatomySequence":
                    flat.FrameAnatomySequence = [item]
    return flat


def take(flat: Any, header: Any) -> None:
    """Where the image lies in space, if all that says so is there; the size of its pixels in any case."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        spacing = _numbers(flat.get(keyword), 2)
        if spacing and min(spacing) > 0:
            header.PixelSpacing = list(flat.get(keyword))
            break
    thickness = _numbers([flat.get("SliceThickness")], 1)
    header.SliceThickness = flat.SliceThickness if thickness and thickness[0] > 0 else None
    reference = str(flat.get("FrameOfReferenceUID") or "")
    placed = all(_numbers(flat.get(keyword), count) for keyword, count in _PLACE.items())
    if placed and "PixelSpacing" in header and re.fullmatch(r"[\d.]{3,64}", reference):
        header.FrameOfReferenceUID = reference
        for keyword in _PLACE:
            setattr(header, keyword, list(flat.get(keyword)))


def _numbers(value: Any, count: int) -> list[float]:
    """So many finite numbers, or none."""
    try:
        found = [float(part) for part in value]
    except (TypeError, ValueError):
        return []
    return found if len(found) == count and all(map(math.isfinite, found)) else []

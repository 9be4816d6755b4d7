"""Which contrast an MR image shows and how its plane lies, from the physics in its header.

Series descriptions are free text, differ between scanners and languages, and may hold names: they
are not read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

# Of enhanced MR objects, as they say it themselves.
_SAID = {
    "T1": "T1",
    "T2": "T2",
    "T2_STAR": "T2*",
    "FLUID_ATTENUATED": "FLAIR",
    "PROTON_DENSITY": "PD",
    "DIFFUSION": "DIFFUSION",
    "PERFUSION": "PERFUSION",
    "FLOW_ENCODED": "FLOW",
    "STIR": "STIR",
}
_MAPS = {"ADC", "TRACEW", "FA", "DIFFUSION", "PERFUSION", "CBF", "CBV", "MTT", "TTP"}
# Milliseconds. A long echo shows T2; a long inversion before it nulls fluid; a short repetition shows T1.
_LONG_ECHO, _MIDDLE_ECHO, _LONG_INVERSION, _SHORT_REPETITION, _LONG_REPETITION = (
    60.0,
    12.0,
    1500.0,
    1200.0,
    1800.0,
)
_OBLIQUE = math.cos(math.radians(35))  # how far a plane may be tilted and still bear its name
_PLANES = ("sagittal", "coronal", "axial")


def weighting(dataset: Any, sequence: Sequence[str], image_type: Sequence[str]) -> str:
    """T1, T2, T2*, FLAIR, PD, DIFFUSION, ...; empty where the header does not tell."""
    said = str(dataset.get("AcquisitionContrast") or "")
    if said in _SAID:
        return _SAID[said]
    if _MAPS & set(image_type) or dataset.get("DiffusionBValue") is not None:
        return "DIFFUSION"
    if "EP" in sequence:
        return "EPI"
    echo, repetition, inversion = (
        _number(dataset.get(name)) for name in ("EchoTime", "RepetitionTime", "InversionTime")
    )
    if echo is None:
        return ""
    if echo >= _LONG_ECHO:
        return "FLAIR" if (inversion or 0) >= _LONG_INVERSION else "T2"
    if "GR" in sequence:
        return "T2*" if echo >= _MIDDLE_ECHO else "T1"
    if inversion:
        return "T1" if inversion >= 300 else "STIR"
    if repetition is None:
        return ""
    return "T1" if repetition <= _SHORT_REPETITION else "PD" if repetition >= _LONG_REPETITION else ""


def plane_of(dataset: Any) -> str:
    """axial, coronal, sagittal or oblique; empty where the header does not tell."""
    turn = dataset.get("ImageOrientationPatient")
    try:
        rows = np.array([float(value) for value in turn], float).reshape(2, 3)
    except (TypeError, ValueError):
        return ""
    normal = np.abs(np.cross(rows[0], rows[1]))
    length = float(np.linalg.norm(normal))
    if not np.isfinite(length) or length < 0.5:
        return ""
    axis = int(normal.argmax())
    return _PLANES[axis] if normal[axis] / length >= _OBLIQUE else "oblique"


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None

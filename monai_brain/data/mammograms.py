"""Two public sets of mammograms as they are unpacked: mini-MIAS and CBIS-DDSM."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_brain.data.folders import files_below, named_as_image
from monai_brain.data.schema import Datalist, Item
from monai_brain.data.tables import Row, column, rows_of
from monai_brain.errors import DataError

MIAS_PUBLISHED = 322
_MIAS_NAME = re.compile(r"mdb(\d{3})[a-z]*", re.IGNORECASE)
_MIAS_ROW = re.compile(r"^(mdb\d{3})\s+([FGD])\s+([A-Z]+)(?:\s+([BM]))?\b", re.MULTILINE)
# An image with several findings bears the gravest.
_GRAVEST = ("malignant", "benign", "normal")
_SEVERITIES = {"M": "malignant", "B": "benign"}
_CBIS_TABLE = "*case_description*.csv"


def read_mias(path: str | os.PathLike[str]) -> Datalist:
    """The images mdb001 to mdb322 and what Info.txt says of them: normal, benign or malignant.

    Two images in a row, 001 and 002, are one woman's right and left breast; all are mediolateral
    oblique views.

    Raises:
        DataError: There is no Info.txt with rows of that form, or no image.
    """
    folder = Path(os.path.realpath(path))
    info = next((f for f in files_below(folder) if f.name.lower() in ("info.txt", "info")), None)
    if info is None:
        raise DataError(f"{path}: holds no Info.txt. Unpack mini-MIAS with its Info.txt first.")
    known = _mias_rows(info.read_text(encoding="utf-8", errors="replace"))
    if not known:
        raise DataError(f"{info}: holds no row such as 'mdb001 G CIRC B 535 425 197'.")
    items: list[Item] = []
    left_out: dict[str, str] = {}
    for file in files_below(folder):
        match = _MIAS_NAME.fullmatch(file.stem)
        if match is None or not named_as_image(file):
            left_out[file.relative_to(folder).as_posix()] = "it is not named as an image of this set"
            continue
        number = int(match[1])
        woman = f"mias_{(number + 1) // 2:03d}"
        side = {"laterality": "L" if number % 2 == 0 else "R", "view_position": "MLO", "technique": "film"}
        whose = {"patient_id": woman, "group": woman, "source": "mini-MIAS"}
        items.append({"image": str(file), **known.get(number, {}), **side, **whose})
    if not items:
        raise DataError(f"{path}: holds no image mdb001, mdb002, ...")
    here = {int(_MIAS_NAME.fullmatch(Path(item["image"]).stem)[1]) for item in items}  # type: ignore[index]
    missing = [f"mdb{number:03d}" for number in range(1, MIAS_PUBLISHED + 1) if number not in here]
    counts = {"expected": MIAS_PUBLISHED, "missing": missing}
    return {"name": "mini-MIAS", "training": items, "left_out": left_out, **counts}


def _mias_rows(text: str) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for name, tissue, kind, severity in _MIAS_ROW.findall(text):
        number = int(name[3:])
        mine = found.setdefault(number, {"class_name": "normal", "tissue": tissue, "finding": kind})
        mine["class_name"] = _gravest([mine["class_name"], _SEVERITIES.get(severity, "normal")])
        if kind not in mine["finding"].split(" "):
            mine["finding"] += f" {kind}"
    return found


def _gravest(names: Sequence[str]) -> str:
    return min(names, key=_GRAVEST.index)


def read_cbis_ddsm(path: str | os.PathLike[str]) -> Datalist:
    """The whole mammograms that the set's own tables name, benign or malignant, found in its tree.

    The tables are the files *_case_description_*.csv. A row names a folder such as
    Mass-Training_P_00001_LEFT_CC; its image is the largest file in that folder, however the tree
    below it was laid out by the download. Several findings in one image count as the gravest.
    Views without a file are named under "missing". Cropped patches and masks are left out.

    Raises:
        DataError: There is no such table, it lacks a column, or no image is found.
    """
    root = Path(os.path.realpath(path))
    tables = sorted(root.rglob(_CBIS_TABLE))
    if not tables:
        raise DataError(f"{path}: holds no table *_case_description_*.csv of CBIS-DDSM.")
    views: dict[str, Item] = {}
    for table in tables:
        _add_views(table, views)
    places = _files_by_view(root, views)
    items, missing = [], []
    for view, item in views.items():
        files = places.get(view, [])
        if files:
            items.append({"image": str(max(files, key=lambda f: (f.stat().st_size, f.name))), **item})
        else:
            missing.append(view)
    if not items:
        raise DataError(f"{path}: holds none of the {len(views)} mammograms that its tables name.")
    return {"name": "CBIS-DDSM", "training": items, "expected": len(views), "missing": missing}


def _add_views(table: Path, views: dict[str, Item]) -> None:
    names, rows = rows_of(table)
    keys = {
        "file": ("image file path",),
        "patient": ("patient_id",),
        "side": ("left or right breast",),
        "view": ("image view",),
        "density": ("breast_density", "breast density"),
        "pathology": ("pathology",),
    }
    chosen = {key: column(table, names, wanted) for key, wanted in keys.items()}
    split = next((part for part in ("train", "test") if part in table.stem.lower()), "")
    for line, row in rows:
        view = row[chosen["file"]].split("/")[0]
        severity = row[chosen["pathology"]].split("_")[0].lower()
        if not view or severity not in _GRAVEST:
            raise DataError(f"{table}: line {line} has no image file path, or a pathology that is none.")
        item = views.setdefault(view, _cbis_item(row, chosen, split, severity))
        item["class_name"] = _gravest([item["class_name"], severity])


def _cbis_item(row: Row, chosen: dict[str, str], split: str, severity: str) -> dict[str, Any]:
    patient = row[chosen["patient"]]
    return {
        "class_name": severity,
        "patient_id": patient,
        "group": patient,
        "laterality": row[chosen["side"]][:1].upper(),
        "view_position": row[chosen["view"]].upper(),
        "technique": "film",
        "density": row[chosen["density"]],
        "published_split": split,
        "source": "CBIS-DDSM",
    }


def _files_by_view(root: Path, views: dict[str, Item]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for file in files_below(root):
        view = next((part for part in file.relative_to(root).parts[:-1] if part in views), None)
        if view is not None and named_as_image(file) and file.is_file():
            found.setdefault(view, []).append(file)
    return found

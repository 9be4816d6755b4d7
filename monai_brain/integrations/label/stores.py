"""Where images and labels lie: a folder of studies or an archive; a label may be a class and no mask."""

from __future__ import annotations

import difflib
import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from monai_brain.data.folders import named_as_image
from monai_brain.data.headers import read_header
from monai_brain.errors import (
    ConfigurationError,
    DataError,
    MissingExtraError,
    MonaiBrainError,
    UnknownNameError,
)
from monai_brain.integrations.label.class_labels import class_label

try:
    from fastapi import HTTPException
    from monailabel.datastore.dicom import DICOMWebDatastore
    from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastore
except ImportError as error:
    raise MissingExtraError(error.name or "monailabel", "label") from error

FINAL = "final"
_OURS = ("labels", "datastore_v2.json")
_NO_IMAGES = ("SR", "SEG", "KO", "PR", "REG", "RTSTRUCT", "DOC", "AU", "FID", "RWV")


def refused(error: MonaiBrainError, status: int | None = None) -> Exception:
    """An error as the server answers it: 404 for what is not there, 422 for what cannot be used as given."""
    code = status or (404 if isinstance(error, UnknownNameError) else 422)
    found: Exception = HTTPException(status_code=code, detail=str(error))
    return found


def unknown(image_id: str, known: Collection[str]) -> Exception:
    """What is said of an image that is not there; all that are would be too many to name."""
    near = difflib.get_close_matches(image_id, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else "They are listed at /datastore/?output=all."
    return refused(ConfigurationError(f"Unknown image {image_id!r} among {len(known)}. {hint}"), 404)


class ClassLabels:
    """What both stores do with class labels; a mixin before one of MONAI Label's stores."""

    classes: tuple[str, ...] = ()
    _datastore: Any

    def class_of(self, image_id: str, tag: str = FINAL) -> dict[str, Any] | None:
        """What the label of an image says: its class, and what came with it; None without a class."""
        info = self.get_label_info(image_id, tag)  # type: ignore[attr-defined]
        return dict(info) if info.get("label") else None

    def labelled(self) -> dict[str, dict[str, Any]]:
        """The images that have a class, with what their labels say."""
        found = {str(name): self.class_of(str(name)) for name in list(self._datastore.objects)}
        return {name: info for name, info in found.items() if info is not None}

    def with_class(self, image_id: str, file: str, info: dict[str, Any] | None) -> dict[str, Any]:
        """What is kept with a submitted label, with the class that it means.

        Raises:
            HTTPException: There is no such image or class.
        """
        if image_id not in self._datastore.objects:
            raise unknown(image_id, self._datastore.objects)
        kept = dict(info or {})
        try:
            found = class_label(kept, Path(file), self.classes, image_id)
        except MonaiBrainError as error:
            raise refused(error) from None
        return kept | ({"label": found} if found is not None else {})


class StudiesFolder(ClassLabels, LocalDatastore):
    """A folder of images: files, and folders that hold the DICOM files of one series."""

    def get_image_uri(self, image_id: str) -> str:
        """The image's path.

        Raises:
            HTTPException: There is no such image.
        """
        if image_id not in self._datastore.objects:
            raise unknown(image_id, self._datastore.objects)
        return str(super().get_image_uri(image_id))

    def save_label(
        self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]
    ) -> str:
        """Keep a label; see `class_label` for the class that it may mean."""
        kept = self.with_class(image_id, label_filename, label_info)
        target = Path(self._datastore.label_path(label_tag), image_id).parent
        target.mkdir(parents=True, exist_ok=True)
        return str(super().save_label(image_id, label_filename, label_tag, kept))

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Take a label back.

        Raises:
            HTTPException: There is no such label.
        """
        if not self.get_label_uri(label_id, label_tag):
            raise refused(UnknownNameError("label", label_id, self.labelled()))
        super().remove_label(label_id, label_tag)
        self.refresh()

    def _add_non_existing_images(self) -> int:
        """Take in the images that are new; files that differ by their ending alone keep it as a name."""
        self._init_from_datastore_file()
        root, objects = Path(self._datastore.image_path()), self._datastore.objects
        known = {name + thing.image.ext for name, thing in objects.items()}
        added = 0
        for place in _images(root):
            if place in known:
                continue
            stem, ending = self._to_id(place) if (root / place).is_file() else (place, "")
            name, ending = (stem, ending) if stem not in objects else (place, "")
            data = DataModel(info={"ts": int(time.time()), "name": place}, ext=ending)
            objects[name] = ImageLabelModel(image=data)
            added += 1
        return added

    def _to_id(self, file: str) -> tuple[str, str]:
        for ending in (".nii.gz", Path(file).suffix):
            if ending and file.lower().endswith(ending.lower()):
                return file[: -len(ending)], file[-len(ending) :]
        return file, ""


class StudiesArchive(ClassLabels, DICOMWebDatastore):
    """The series of a DICOMweb archive; class labels stay on this side and are not sent there."""

    def list_images(self) -> list[str]:
        """The UIDs of the series that hold images."""
        found = []
        for series in self._client.search_for_series(fields=["Modality"], search_filters=self._search_filter):
            modality = (series.get("00080060", {}).get("Value") or [""])[0]
            if modality not in _NO_IMAGES:
                found.append(str(series["0020000E"]["Value"][0]))
        return found

    def get_image_uri(self, image_id: str) -> str:
        """The folder to which the series was fetched.

        Raises:
            HTTPException: The archive has no such series.
        """
        place = Path(os.path.realpath(Path(self._datastore.image_path(), image_id)))
        if not (place.is_dir() and any(place.iterdir())) and image_id not in self.list_images():
            raise unknown(image_id, self.list_images())
        found = str(super().get_image_uri(image_id))
        if image_id not in self._datastore.objects:
            data = DataModel(info={"ts": int(time.time()), "name": image_id}, ext="")
            self._datastore.objects[image_id] = ImageLabelModel(image=data)
            self._update_datastore_file()
        return found

    def get_labeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """The series that have a label here."""
        return list(LocalDatastore.get_labeled_images(self))

    def get_unlabeled_images(
        self, label_tag: str | None = None, labels: list[str] | None = None
    ) -> list[str]:
        """The archive's series without one."""
        known = set(self.get_labeled_images())
        return [name for name in self.list_images() if name not in known]

    def save_label(
        self,
        image_id: str,
        label_filename: str,
        label_tag: str,
        label_info: dict[str, Any],
        label_id: str = "",
    ) -> str:
        """Keep a label here; see `class_label` for the class that it may mean."""
        self.get_image_uri(image_id)
        kept = self.with_class(image_id, label_filename, label_info)
        return str(LocalDatastore.save_label(self, image_id, label_filename, label_tag, kept))

    def get_label_uri(self, label_id: str, label_tag: str, image_id: str = "") -> str:
        """The label's path."""
        return str(LocalDatastore.get_label_uri(self, label_id, label_tag))

    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        """Images and labels as they lie here."""
        return list(LocalDatastore.datalist(self, full_path))


def kept_file(store: Any, image_id: str, file: str, tag: str, info: dict[str, Any]) -> str:
    """Keep a map in the store; it is the model's, so it gives the image no class."""
    Path(store._datastore.label_path(tag), image_id).parent.mkdir(parents=True, exist_ok=True)
    return str(LocalDatastore.save_label(store, image_id, file, tag, info))


def _images(root: Path) -> list[str]:
    """The images below a folder, as paths from there; a folder of DICOM files alone is one image."""
    found: list[str] = []
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not (here == root and name in _OURS)
        )
        images = [name for name in sorted(files) if named_as_image(Path(name)) and not name.startswith(".")]
        if (
            here != root
            and len(images) > 1
            and not folders
            and all(_is_dicom(here / name) for name in images)
        ):
            found.append(here.relative_to(root).as_posix())
        else:
            found += [(here / name).relative_to(root).as_posix() for name in images if name not in _OURS]
    return found


def _is_dicom(path: Path) -> bool:
    try:
        return read_header(path).format == "dicom"
    except DataError:
        return False

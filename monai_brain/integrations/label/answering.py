"""What a served version says of an image, a volume or a series, and where the evidence lies."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from monai_brain.bundles import Bundle
from monai_brain.data.headers import read_header
from monai_brain.data.slices import UnreadableImageError, check_contrast
from monai_brain.data.volumes import PLANES, cut, volume_array
from monai_brain.errors import ConfigurationError, DataError, UnknownNameError
from monai_brain.inference.answers import Answer
from monai_brain.inference.explain import Explainer, Explanation
from monai_brain.inference.gates import DONE, FAILED, gates
from monai_brain.inference.inputs import Inputs
from monai_brain.inference.names import Entry, Names
from monai_brain.inference.predictor import Predictor
from monai_brain.inference.reading import Reading
from monai_brain.inference.stream import Stream
from monai_brain.inference.study import merged, value
from monai_brain.integrations.label import geometry


@dataclass(frozen=True)
class Wish:
    """What a request asks for.

    Attributes:
        slice: The number of one slice, from 0; None for all.
        plane: The plane to cut volumes along; None for how they are stored.
        force: Ask the model whatever its gates say.
        target: The class whose evidence a map shows; None for the predicted one.
    """

    slice: int | None = None
    plane: str | None = None
    force: bool = False
    target: str | None = None

    @classmethod
    def of(cls, request: dict[str, Any]) -> Wish:
        """The wish in a request's keys slice, plane, force and class.

        Raises:
            ConfigurationError: One of them has a value that is none.
        """
        number, plane, target = request.get("slice"), request.get("plane"), request.get("class")
        if number in (None, ""):
            number = None
        elif isinstance(number, bool) or not str(number).isdecimal():
            raise ConfigurationError(
                f"slice is {number!r}. Expected a whole number, the first slice being 0."
            )
        else:
            number = int(number)
        if plane and plane not in PLANES:
            raise UnknownNameError("plane", str(plane), PLANES)
        force = str(request.get("force", "")).lower() in ("true", "1")
        return cls(number, plane or None, force, str(target) if target else None)


class Answering:
    """One version of a model, made ready to answer; requests take turns."""

    def __init__(self, bundle: Bundle, device: str | None = None) -> None:
        """Build the network and load the weights.

        Raises:
            ModelError: The version has no weights, or they are not those of its network.
        """
        with torch.inference_mode(False):
            self.predictor = Predictor(bundle, device=device)
        self.bundle, self.labels = bundle, bundle.labels
        self._gates, self._names = gates(bundle), Names("hashed")
        self._explainer: Explainer | None = None
        self._turn = threading.Lock()

    def answer(self, path: Path, wish: Wish) -> dict[str, Any]:
        """The classes with their scores, for a volume or a series also those of each slice.

        Raises:
            DataError: The image cannot be read, or has no such slice.
        """
        with self._turn:
            answers = self._answers(path, wish)
        if path.is_dir():
            return self._of_series(answers, wish)
        (answer,) = answers
        if answer.status == FAILED:
            raise DataError(answer.reason)
        if answer.slices is None and answer.rows is None:
            return self._told(None, answer.status, answer.reason)
        rows = answer.rows
        if rows is None or answer.value is None:
            if wish.slice:
                raise DataError(f"slice {wish.slice} of 1, counting from 0")
            scores = dict(rows[0].probs) if rows is not None else None
            return self._told(scores, answer.status, answer.reason)
        slices = [
            self._slice(int(rows[row].meta.get("frame") or 0), dict(rows[row].probs), rows[row].abstain)
            for row in range(len(rows))
        ]
        if wish.slice is not None:
            return self._one_of(slices, wish.slice)
        whole = self._told(answer.value["probabilities"], answer.status, answer.reason)
        return whole | {"rule": answer.value["rule"], "slices": slices, "left_out": answer.slices or {}}

    def map(self, path: Path, wish: Wish) -> tuple[npt.NDArray[np.float32], geometry.Geometry]:
        """Where the evidence lies, from 0 to 1, in the image's stored grid, and that grid's place.

        With a slice chosen the others are 0.

        Raises:
            DataError: The image cannot be read, or has no such slice.
        """
        with self._turn, torch.inference_mode(False):
            if self._explainer is None:
                self._explainer = Explainer(self.predictor)
            if path.is_dir():
                return self._map_of_series(self._explainer, path, wish)
            header = read_header(path)
            if header.format in geometry.VOLUMES:
                return self._map_of_volume(self._explainer, path, wish), geometry.of_file(path)
            numbers = _chosen(header.frames, wish.slice)
            heats = [
                self._heat(self._explainer, path, number if header.frames > 1 else None, wish)
                for number in numbers
            ]
            found = np.zeros((header.frames, *heats[0].shape), np.float32)
            found[list(numbers)] = heats
        return (found[0] if header.frames == 1 else found), geometry.of_file(path)

    def _answers(self, path: Path, wish: Wish) -> list[Answer]:
        reading = Reading(self.predictor, self._names, self._gates, force=wish.force, plane=wish.plane)
        stream = Stream(
            self.predictor, reading, self._names, lambda candidates: next(iter(candidates)), threads=1
        )
        paths = series_files(path) if path.is_dir() else [path]
        entries = [Entry(str(one), one.name) for one in paths]
        return [answer for ready in stream.answers(entries) for answer in ready]

    def _of_series(self, answers: list[Answer], wish: Wish) -> dict[str, Any]:
        slices: list[dict[str, Any]] = []
        kept: dict[str, Any] | None = None
        left_out: dict[str, int] = {}
        for number, answer in enumerate(answers):
            if answer.rows is None:
                left_out[answer.reason] = left_out.get(answer.reason, 0) + 1
                continue
            row = answer.rows[0]
            kept = merged(kept, answer.rows)
            slices.append(self._slice(number, dict(row.probs), row.abstain))
        if kept is None:
            if all(answer.status == FAILED for answer in answers):
                raise DataError(answers[0].reason)
            refused = next(answer for answer in answers if answer.status != FAILED)
            return self._told(None, refused.status, refused.reason) | {"slices": [], "left_out": left_out}
        if wish.slice is not None:
            return self._one_of(slices, wish.slice)
        found = value(kept, self.labels, self.bundle)
        status = DONE if found["probabilities"] else "abstained"
        whole = self._told(found["probabilities"], status, "" if status == DONE else "from each slice")
        return whole | {"rule": found["rule"], "slices": slices, "left_out": left_out}

    def _one_of(self, slices: list[dict[str, Any]], number: int) -> dict[str, Any]:
        for one in slices:
            if one["slice"] == number:
                status = "abstained" if one["abstained"] else DONE
                return self._told(one["scores"], status, "") | {"slice": number}
        raise DataError(f"slice {number}: there is none, or it cannot be read; there are {len(slices)}")

    def _slice(self, number: int, scores: dict[str, float], abstained: bool) -> dict[str, Any]:
        label = max(scores, key=lambda name: scores[name])
        return {"slice": number, "label": label, "scores": scores, "abstained": abstained}

    def _told(self, scores: dict[str, float] | None, status: str, reason: str) -> dict[str, Any]:
        """The answer as MONAI Label's clients read it (`prediction`), and as people do."""
        ranked = sorted(scores or {}, key=lambda name: -(scores or {})[name])
        return {
            "prediction": [
                {"idx": self.labels.index(name), "label": name, "score": (scores or {})[name]}
                for name in ranked
            ],
            "label": ranked[0] if ranked and status == DONE else None,
            "scores": scores,
            "status": status,
            "reason": reason,
            "model": self.bundle.name,
            "weights_sha256": self.predictor.weights_sha256,
            "disclaimer": self.bundle.disclaimer,
        }

    def _heat(
        self, explainer: Explainer, path: Path, frame: int | None, wish: Wish
    ) -> npt.NDArray[np.float32]:
        item = {"image": str(path), "case": "image"} | ({} if frame is None else {"frame": frame})
        (found,) = explainer.explain([item], wish.target, threads=1)
        if not isinstance(found, Explanation):
            raise DataError(found.reason)
        return found.heat

    def _map_of_series(
        self, explainer: Explainer, folder: Path, wish: Wish
    ) -> tuple[npt.NDArray[np.float32], geometry.Geometry]:
        paths = series_files(folder)
        heats = {
            number: self._heat(explainer, paths[number], None, wish)
            for number in _chosen(len(paths), wish.slice)
        }
        shapes = {heat.shape for heat in heats.values()}
        if len(shapes) > 1:
            raise DataError(f"its slices have {len(shapes)} different sizes: they make no volume")
        found = np.zeros((len(paths), *shapes.pop()), np.float32)
        for number, heat in heats.items():
            found[number] = heat
        return found, geometry.of_series(paths)

    def _map_of_volume(self, explainer: Explainer, path: Path, wish: Wish) -> npt.NDArray[np.float32]:
        array, directions = volume_array(path)
        slices = cut(array, directions, wish.plane)
        places = cut(np.arange(array.size).reshape(array.shape), directions, wish.plane)
        found = np.zeros(array.size, np.float32)
        for number in _chosen(len(slices), wish.slice):
            image = slices[number]
            try:
                check_contrast(path, image)
            except UnreadableImageError:
                if wish.slice is not None or len(slices) == 1:
                    raise
                continue  # an empty slice shows nothing, and so does its map
            meta = {
                "stored_dtype": str(image.dtype),
                "affine": np.eye(4),
                "original_channel_dim": "no_channel",
            }
            found[places[number].ravel()] = explainer.explain_read(image, meta, wish.target).heat.ravel()
        return found.reshape(array.shape)


def series_files(folder: Path) -> list[Path]:
    """The DICOM files of a folder, in their order.

    Raises:
        DataError: There is none, or they belong to several series.
    """
    found, series = [], set()
    for entry in Inputs(folder):
        try:
            header = read_header(Path(entry.path))
        except DataError:
            continue
        if header.format == "dicom":
            found.append(Path(entry.path))
            series.add(header.identifiers.get("series", ""))
    if not found:
        raise DataError("the folder holds no DICOM image")
    if len(series) > 1:
        raise DataError(f"the folder holds {len(series)} series; one is expected")
    return geometry.in_order(found)


def _chosen(count: int, wanted: int | None) -> range:
    if wanted is None:
        return range(count)
    if wanted >= count:
        raise DataError(f"slice {wanted} of {count}, counting from 0")
    return range(wanted, wanted + 1)

"""An input made ready for the network: its header looked at, its gates passed, its pixels preprocessed."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from monai_brain.data.formats import read_slice
from monai_brain.data.headers import Header, read_header
from monai_brain.data.slices import check_contrast
from monai_brain.data.volumes import VOLUMES, read_volume, slice_meta
from monai_brain.inference.gates import FAILED, Gate, Refusal, first_refusal
from monai_brain.inference.names import Entry, Names
from monai_brain.inference.predictor import Predictor, reason

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass
class Looked:
    """What is known of an input, and, where it holds one image, the image as the network takes it."""

    entry: Entry
    header: Header | None = None
    refused: Refusal | None = None
    tensor: torch.Tensor | None = None
    frames: int = 1
    facts: dict[str, Any] = field(default_factory=dict)
    forced: str = ""


class Reading:
    """Reads inputs for a predictor; safe to be used by several threads at a time."""

    def __init__(
        self,
        predictor: Predictor,
        names: Names,
        rules: Sequence[Gate],
        *,
        force: bool = False,
        plane: str | None = None,
        check: Callable[[Header], Refusal | None] | None = None,
    ) -> None:
        """Take what is needed.

        Args:
            predictor: The model.
            names: Tells whose words may be quoted.
            rules: The gates.
            force: Ask the model whatever the gates say.
            plane: Cut volumes along this plane; by default as they are stored.
            check: A further gate, of a series that was not chosen.
        """
        self.predictor, self.names, self.rules = predictor, names, rules
        self.force, self.plane, self.check = force, plane, check

    def look(self, entry: Entry) -> Looked:
        """What is known of an input; whatever is wrong with it is a refusal, never an error."""
        looked = Looked(entry)
        try:
            with entry.file() as path:
                looked.header = read_header(path)
                looked.facts = dict(looked.header.described)
                if self.check is not None:
                    self._gate(looked, self.check(looked.header))
                self._gate(looked, first_refusal(self.rules, looked.facts))
                looked.frames = looked.header.frames
                volume = looked.header.format in VOLUMES
                if looked.refused is None and looked.frames == 1 and not (volume and self.plane):
                    looked.tensor = self._one(looked, path)
        except Exception as error:  # noqa: BLE001  a file from anywhere can make a decoder raise anything
            looked.refused = Refusal(FAILED, self._reason(error, looked))
        return looked

    def frames(self, looked: Looked, pool: Executor, ahead: int) -> Iterator[torch.Tensor | Refusal]:
        """The images of an input that holds several, in their order, each ready or refused."""
        try:
            with looked.entry.file() as path:
                if looked.header is not None and looked.header.format in VOLUMES:
                    planes = read_volume(path, self.plane)
                    looked.frames = len(planes)
                    prepare = functools.partial(self._plane, looked, path, planes)
                else:
                    prepare = functools.partial(self._frame, looked, path)
                yield from bounded(prepare, range(looked.frames), pool, ahead)
        except Exception as error:  # noqa: BLE001  as above
            looked.frames = 1
            yield Refusal(FAILED, self._reason(error, looked))

    def _one(self, looked: Looked, path: Path) -> torch.Tensor | None:
        options = self.predictor.reading
        if options is None:  # the recipe reads in its own way
            return self.predictor.read({"image": str(path)})
        image, meta = read_slice(path, options.frame, options.force, options.voi)
        looked.facts |= _of_pixels(image)
        self._gate(looked, first_refusal(self.rules, looked.facts))
        return None if looked.refused is not None else self.predictor.prepared(image, meta)

    def _frame(self, looked: Looked, path: Path, index: int) -> torch.Tensor | Refusal:
        try:
            options = self.predictor.reading
            if options is None:
                return self.predictor.read({"image": str(path), "frame": index})
            image, meta = read_slice(path, index + 1, options.force, options.voi)
            return self._gated(looked, image) or self.predictor.prepared(image, meta)
        except Exception as error:  # noqa: BLE001  as above
            return Refusal(FAILED, self._reason(error, looked))

    def _plane(
        self, looked: Looked, path: Path, planes: Sequence[np.ndarray], index: int
    ) -> torch.Tensor | Refusal:
        try:
            image = planes[index]
            check_contrast(path, image)
            return self._gated(looked, image) or self.predictor.prepared(image, slice_meta(image))
        except Exception as error:  # noqa: BLE001  as above
            return Refusal(FAILED, self._reason(error, looked))

    def _gated(self, looked: Looked, image: np.ndarray) -> Refusal | None:
        return None if self.force else first_refusal(self.rules, looked.facts | _of_pixels(image))

    def _gate(self, looked: Looked, refusal: Refusal | None) -> None:
        if refusal is None or looked.refused is not None:
            return
        if self.force:
            looked.forced = looked.forced or f"{refusal.status}: {refusal.reason}"
        else:
            looked.refused = refusal

    def _reason(self, error: Exception, looked: Looked) -> str:
        form = looked.header.format if looked.header is not None else None
        hidden = self.names.hidden(looked.entry, form)
        return reason(error, {"image": looked.entry.member or looked.entry.path}, hidden)


def bounded(function: Callable[[In], Out], items: Iterable[In], pool: Executor, ahead: int) -> Iterator[Out]:
    """What the function gives for each item, in order, computed by the pool a little ahead."""
    queue = iter(items)
    running: deque[Future[Out]] = deque()
    try:
        while True:
            while len(running) < ahead:
                try:
                    item = next(queue)
                except StopIteration:
                    break
                running.append(pool.submit(function, item))
            if not running:
                return
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()


def _of_pixels(image: np.ndarray) -> dict[str, Any]:
    found: dict[str, Any] = {"height": int(image.shape[0]), "width": int(image.shape[1])}
    found["smaller_side"] = min(found["height"], found["width"])
    if image.dtype == np.uint8:
        found["grey_levels"] = int(image.max()) - int(image.min()) + 1
    return found

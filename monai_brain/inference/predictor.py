"""A model made ready to answer: its network with checked weights, and its recipe's preprocessing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor

from monai_brain import recipe, registry
from monai_brain.bundles import Bundle
from monai_brain.data.slices import Options, UnreadableImageError
from monai_brain.errors import MonaiBrainError
from monai_brain.evaluation.predictions import Predictions
from monai_brain.inference import decision
from monai_brain.inference import weights as network_weights
from monai_brain.inference.domain import Domain, Tap, watched
from monai_brain.inference.inferer import MixedPrecisionInferer
from monai_brain.inference.inputs import named
from monai_brain.inference.rows import predictions

Item = dict[str, Any]

# First steps of a recipe that read an image and do nothing else: an image that is read already can go past.
_LOADERS = ("monai.transforms.LoadImaged", "monai_brain.data.loading.LoadSliced")
_READER = "monai_brain.data.reader.SliceReader"


@dataclass(frozen=True)
class Failure:
    """An input that could not be read, and why."""

    case: str
    reason: str


class Predictor:
    """A model made ready to answer.

    Attributes:
        bundle: The model.
        decision: The temperature and the threshold kept with the weights.
        domain: What the weights were fitted on, where that is kept beside them.
        reading: How the recipe's reader reads; None where the recipe has a reader of its own.
    """

    domain: Domain | None

    def __init__(
        self,
        model: str | os.PathLike[str] | Bundle,
        weights: str | os.PathLike[str] | None = None,
        device: str | None = None,
    ) -> None:
        """Build the network of the model on the device, by default the GPU where there is one.

        Raises:
            ModelError: The model has no weights, or they are not those of its network.
        """
        self.bundle = registry.bundle(model)
        path, recorded = network_weights.locate(self.bundle, weights)
        parser = self._follow(device)
        self.network = parser.get_parsed_content("network_def").eval().to(self.device)
        self.weights_sha256 = network_weights.load(self.network, path, recorded)
        self.domain = Domain.beside(path, self.weights_sha256)
        if weights is not None:
            self.decision = _of_other_weights(weights)

    def _follow(self, device: str | None) -> Any:
        """Take from the bundle's recipe all but the network; gives the recipe."""
        parser = recipe.parsed(self.bundle, "inference")
        self.reading = _reading(parser)
        self.preprocess = parser.get_parsed_content("preprocessing")
        self.amp = parser.get_parsed_content("amp")
        self.batch_size = int(parser.get_parsed_content("batch_size"))
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.infer = MixedPrecisionInferer(self.amp)
        self.decision = decision.of(self.bundle)
        self.domain = None
        self._most: int | None = None
        return parser

    def logits(self, images: torch.Tensor) -> np.ndarray[Any, Any]:
        """The network's outputs (B, classes) for preprocessed images (B, C, H, W).

        Where the GPU's memory does not hold the batch, it is halved until it does.
        """
        return np.concatenate([part for part, _ in self._parts(images, None)])

    def scores(self, images: torch.Tensor) -> tuple[np.ndarray[Any, Any], list[str]]:
        """The logits, and for each image why the model should not be believed, or ""."""
        if self.domain is None:
            return self.logits(images), [""] * len(images)
        logits, features = self.seen(images, self.domain.layer)
        return logits, self.domain.doubts(logits, features)

    def answers(self, items: Sequence[Item], logits: npt.ArrayLike, **columns: Any) -> Predictions:
        """The predictions for items out of their logits (B, classes), by the model's own decision."""
        found = predictions(
            items,
            logits,
            self.bundle.labels,
            model=self.bundle.name,
            weights_sha256=self.weights_sha256,
            **columns,
        )
        return self.decision.apply(found)

    def seen(self, images: torch.Tensor, layer: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """The logits, and the pooled output (B, F) of a layer."""
        with watched(self.network, layer) as tap:
            parts = list(self._parts(images, tap))
        return np.concatenate([part for part, _ in parts]), np.concatenate([part for _, part in parts])

    def _parts(
        self, images: torch.Tensor, tap: Tap | None
    ) -> Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        begin = 0
        while begin < len(images):
            part = images[begin : begin + (self._most or len(images))]
            try:
                with torch.inference_mode():
                    logits = self.infer(part.to(self.device), self.network).float().cpu().numpy()
            except torch.OutOfMemoryError:
                if len(part) == 1:
                    raise
                self._most = len(part) // 2
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            yield logits, logits if tap is None else tap.last
            begin += len(part)

    def prepared(self, image: np.ndarray[Any, Any], meta: dict[str, Any]) -> torch.Tensor:
        """What the network takes (C, H, W) of an image (H, W) that was read by `read_slice`."""
        return _plain(self.transformed(image, meta))

    def transformed(self, image: np.ndarray[Any, Any], meta: dict[str, Any]) -> Any:
        """The same, with MONAI's record of how it came about."""
        tensor = MetaTensor.ensure_torch_and_prune_meta(image, dict(meta))
        return self.preprocess({"image": tensor}, start=1)["image"]

    def read(self, item: Item) -> torch.Tensor:
        """What the network takes (C, H, W) of an item's image."""
        return _plain(self.preprocess(named(item))["image"])

    def batches(
        self, items: Iterable[Item], batch_size: int | None = None, threads: int = 2
    ) -> Iterator[tuple[list[Item], torch.Tensor | None, list[Failure]]]:
        """Batches of the items that could be read, preprocessed by threads, and the failures among them."""
        queue = iter(items)
        with ThreadPoolExecutor(threads) as pool:
            ahead = [pool.submit(self._prepare, item) for item in islice(queue, 2 * threads)]
            good: list[tuple[Item, torch.Tensor]] = []
            bad: list[Failure] = []
            while ahead:
                answer = ahead.pop(0).result()
                ahead.extend(pool.submit(self._prepare, item) for item in islice(queue, 1))
                if isinstance(answer, Failure):
                    bad.append(answer)
                else:
                    good.append(answer)
                if len(good) == (batch_size or self.batch_size) or (not ahead and (good or bad)):
                    images = torch.stack([image for _, image in good]) if good else None
                    yield [item for item, _ in good], images, bad
                    good, bad = [], []

    def _prepare(self, item: Item) -> tuple[Item, torch.Tensor] | Failure:
        try:
            return item, self.read(item)
        except Exception as error:  # noqa: BLE001  a file from anywhere can make a decoder raise anything
            return Failure(str(item["case"]), reason(error, item))


def _of_other_weights(weights: str | os.PathLike[str]) -> decision.Decision:
    """What is kept with weights of another run; nothing is with a bare file."""
    return decision.of(Bundle.at(weights)) if Path(weights).is_dir() else decision.Decision()


def reason(error: BaseException, item: Item, hidden: bool = False) -> str:
    """Why an item failed, in one line without its path: the case names the input already.

    Args:
        error: What was raised.
        item: The item, with its image's path.
        hidden: The words of foreign errors may quote the file, and are left out.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, MonaiBrainError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, UnreadableImageError):
        return f"{cause.reason}: {cause.detail}"
    if cause is None and isinstance(error, MemoryError):
        return "too large: it does not fit into memory"
    if cause is None and hidden:
        return f"damaged: {type(error).__name__}"
    text = " ".join(str(cause or error).split()) or type(error).__name__
    path = str(item["image"])
    for name in (path, str(Path(path).resolve()), Path(path).name):
        text = text.removeprefix(f"{name}: ").replace(name, "the file")
    return text if cause is not None else f"{type(error).__name__}: {text}"


def _reading(parser: Any) -> Options | None:
    """How the recipe reads an image, if its first step is the project's own."""
    steps = parser.get("preprocessing", {}).get("transforms") or [{}]
    first = steps[0] if isinstance(steps[0], dict) else {}
    reader = first.get("reader")
    chosen = reader.get("_target_") if isinstance(reader, dict) else None
    if first.get("_target_") not in _LOADERS or (chosen or _READER) != _READER:
        return None
    options = {key: reader[key] for key in ("frame", "force", "voi") if key in reader} if reader else {}
    return Options(**options)


def _plain(image: Any) -> torch.Tensor:
    plain: torch.Tensor = image.as_tensor() if isinstance(image, MetaTensor) else torch.as_tensor(image)
    return plain.contiguous()

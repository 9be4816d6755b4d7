"""Labelled probabilities for images: one result or one failure for each, whatever the others are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from monai_brain import recipe, registry
from monai_brain.bundles import Bundle
from monai_brain.errors import MonaiBrainError
from monai_brain.evaluation.predictions import Predictions, put_together
from monai_brain.inference import decision
from monai_brain.inference import inputs as found_inputs
from monai_brain.inference import weights as network_weights
from monai_brain.inference.inferer import MixedPrecisionInferer
from monai_brain.inference.rows import predictions

Item = dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """An input that could not be read, and why."""

    case: str
    reason: str


@dataclass
class Answers:
    """What a model said about the inputs, in their order, and the inputs it could say nothing about."""

    predictions: Predictions | None = None
    failures: list[Failure] = field(default_factory=list)


class Predictor:
    """A model made ready to answer: its network with checked weights, and its recipe's preprocessing."""

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
        parser = recipe.parsed(self.bundle, "inference")
        self.preprocess = parser.get_parsed_content("preprocessing")
        self.amp = parser.get_parsed_content("amp")
        self.batch_size = int(parser.get_parsed_content("batch_size"))
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.network = parser.get_parsed_content("network_def").eval().to(self.device)
        self.weights_sha256 = network_weights.load(self.network, path, recorded)
        self.infer = MixedPrecisionInferer(self.amp)
        self.decision = decision.of(self.bundle) if weights is None else _of_other_weights(weights)

    def logits(self, images: torch.Tensor) -> np.ndarray[Any, Any]:
        """The network's outputs (B, classes) for preprocessed images (B, C, H, W)."""
        with torch.inference_mode():
            return self.infer(images.to(self.device), self.network).cpu().numpy()

    def answers(self, items: Sequence[Item], logits: np.ndarray[Any, Any], **columns: Any) -> Predictions:
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
            image = self.preprocess(found_inputs.named(item))["image"]
        except Exception as error:  # noqa: BLE001  a file from anywhere can make a decoder raise anything
            return Failure(str(item["case"]), reason(error, item))
        plain = image.as_tensor() if hasattr(image, "as_tensor") else torch.as_tensor(image)
        return item, plain.contiguous()


def predict(
    model: str | os.PathLike[str] | Bundle,
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    weights: str | os.PathLike[str] | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    threads: int | None = None,
    progress: bool | None = False,
) -> Answers:
    """Probabilities of every class for every image under the inputs.

    Args:
        model: a registered name, a bundle folder or a run folder.
        inputs: files, folders or globs.
        weights: a .pt file or a run folder instead of the model's own weights.
        device: "cuda", "cpu"; by default the GPU where there is one.
        batch_size: images in one forward pass; by default the recipe's.
        threads: threads that read and preprocess; by default one a core.
        progress: True or False for a bar, None for one on a terminal.

    Raises:
        MonaiBrainError: The model or an input does not exist. A file that cannot be read raises
            nothing: it stands among the failures.
    """
    items = found_inputs.find(inputs)
    predictor = Predictor(model, weights, device)
    parts: list[Predictions] = []
    answers = Answers()
    bar = tqdm(
        total=len(items), unit="image", desc="predict", disable=None if progress is None else not progress
    )
    with bar:
        for batch, images, failures in predictor.batches(items, batch_size, threads or os.cpu_count() or 1):
            answers.failures += failures
            if images is not None:
                parts.append(predictor.answers(batch, predictor.logits(images)))
            bar.update(len(batch) + len(failures))
    answers.predictions = put_together(parts) if parts else None
    return answers


def _of_other_weights(weights: str | os.PathLike[str]) -> decision.Decision:
    """What is kept with weights of another run; nothing is with a bare file."""
    return decision.of(Bundle.at(weights)) if Path(weights).is_dir() else decision.Decision()


def reason(error: BaseException, item: Item) -> str:
    """Why an item failed, in one line without its path: the case names the input already."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, MonaiBrainError):
        cause = cause.__cause__ or cause.__context__
    text = " ".join(str(cause or error).split()) or type(error).__name__
    path = str(item["image"])
    for name in (path, str(Path(path).resolve()), Path(path).name):
        text = text.removeprefix(f"{name}: ").replace(name, "the file")
    return text if cause is not None else f"{type(error).__name__}: {text}"

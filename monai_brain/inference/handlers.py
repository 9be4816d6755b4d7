"""What a recipe hangs on its evaluator: checked weights before it runs, predictions after."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events

from monai_brain.bundles import Bundle
from monai_brain.errors import ConfigurationError
from monai_brain.evaluation.predictions import write
from monai_brain.inference import decision, weights
from monai_brain.inference.rows import predictions

_LOG = logging.getLogger(__name__)


class LoadWeights:
    """Load a bundle's weights when the engine starts, checked against the recorded SHA-256.

    Every engine start reads them anew, so a network that was trained on in between is judged by the
    weights that were kept, not by the last ones. A bundle without weights is an error.
    """

    def __init__(
        self, network: torch.nn.Module, bundle_root: str | os.PathLike[str], file: str | None = None
    ) -> None:
        self.network, self.bundle_root, self.file = network, bundle_root, file

    def attach(self, engine: Engine) -> None:
        """Load at the engine's start."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Load now."""
        path, sha256 = weights.locate(Bundle.at(self.bundle_root), self.file)
        weights.load(self.network, path, sha256)
        _LOG.info("weights: %s", path)


class SavePredictions:
    """Write predictions.csv when the engine has seen every item.

    Args:
        path: the file; it appears whole or not at all.
        items: the items of the engine's dataset; each batch names its own by "case".
        labels: class names in the network's order.
        bundle_root: the bundle whose name and weights' hash stand in the file.
        logits: the key of the engine's output that holds the logits.
        decided: follow the temperature and the threshold that are kept with the weights, as `predict`
            does; a run's own test does not, since both are chosen from what it gives.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        items: Sequence[Mapping[str, Any]],
        labels: Sequence[str],
        bundle_root: str | os.PathLike[str],
        logits: str = "pred",
        decided: bool = False,
    ) -> None:
        self.path, self.labels, self.bundle_root, self.logits = path, tuple(labels), bundle_root, logits
        self.decided = decided
        self.items = {str(item["case"]): item for item in items}
        self._cases: list[str] = []
        self._scores: list[np.ndarray[Any, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Collect at each iteration, write at the end."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _begin(self, engine: Engine) -> None:
        self._cases, self._scores = [], []

    def _collect(self, engine: Engine) -> None:
        # One dict for the batch, or a list of dicts, one an item, once MONAI has decollated it.
        output, batch = engine.state.output, engine.state.batch
        for part in [output] if isinstance(output, dict) else output:
            scores = part[self.logits].detach().float().cpu().numpy()
            self._scores.append(scores.reshape(-1, len(self.labels)))
        cases = batch["case"] if isinstance(batch, dict) else [item["case"] for item in batch]
        self._cases += [str(case) for case in cases]

    def _write(self, engine: Engine) -> None:
        if idist.get_rank():
            return
        bundle = Bundle.at(self.bundle_root)
        scores = np.concatenate(self._scores) if self._scores else np.zeros((0, len(self.labels)))
        if len(scores) != len(self._cases):
            raise ConfigurationError(f"{len(self._cases)} cases went in, {len(scores)} predictions came out.")
        found = predictions(
            [self.items[case] for case in self._cases],
            scores,
            self.labels,
            model=bundle.name,
            variant=str(bundle.facts.get("variant") or ""),
            weights_sha256=str(weights_hash(bundle)),
        )
        write(decision.of(bundle).apply(found) if self.decided else found, self.path)
        _LOG.info("predictions: %d in %s", len(self._cases), self.path)


def weights_hash(bundle: Bundle) -> str:
    """The SHA-256 of the bundle's weights, or "" where it has none."""
    from monai_brain.files import sha256

    return bundle.weights_sha256 or (sha256(bundle.weights) if bundle.weights else "")

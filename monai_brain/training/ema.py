"""A network whose weights are the running average of another's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch.optim.swa_utils import AveragedModel

from monai_brain.errors import ConfigurationError


class AverageWeights:
    """The exponential moving average of a network's weights and running statistics, as a network of its own.

    After step n the average moves towards the weights by 1 - min(decay, (1 + n) / (10 + n)), so that a
    short training is not held back by the weights that it began with. With a decay of 0 there is no
    average: `network` is the network itself, and nothing is copied.

    The keys of the average's state_dict are the network's own, so it is validated, kept and shipped in
    the network's place.

    Args:
        network: What is trained.
        decay: Weight of what was, 0 to 1; 0.999 follows the last thousand steps.
        accumulate: Iterations to a step of the optimizer.

    Raises:
        ConfigurationError: The decay is outside of 0 to 1.
    """

    def __init__(self, network: torch.nn.Module, decay: float, accumulate: int = 1) -> None:
        if not 0 <= decay < 1:
            raise ConfigurationError(f"ema_decay must be 0 or more and below 1, got {decay}.")
        self.source, self.decay, self.accumulate = network, float(decay), int(accumulate)
        self.updates = 0
        self._averaged: AveragedModel | None = None
        if self.decay:
            self._averaged = AveragedModel(network, multi_avg_fn=self._average, use_buffers=True)
            self._averaged.requires_grad_(False)

    @property
    def network(self) -> torch.nn.Module:
        """The network to validate and to keep."""
        return self.source if self._averaged is None else self._averaged.module

    def attach(self, engine: Engine) -> None:
        """Follow the training: after each step of the optimizer."""
        if self._averaged is not None:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Take the step's weights in, if there was a step."""
        length = int(engine.state.epoch_length)
        number = (engine.state.iteration - 1) % length + 1
        if self._averaged is not None and (number % self.accumulate == 0 or number == length):
            self.updates += 1
            self._averaged.update_parameters(self.source)

    def _average(
        self, averaged: Sequence[torch.Tensor], current: Sequence[torch.Tensor], _updates: Any
    ) -> None:
        if not averaged[0].is_floating_point():  # BatchNorm's count of batches
            for mean, value in zip(averaged, current, strict=True):
                mean.copy_(value)
            return
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(list(averaged), list(current), 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        """The average and how many steps are in it; empty without an average."""
        if self._averaged is None:
            return {}
        return {"updates": self.updates, "averaged": self._averaged.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        if self._averaged is not None:
            self.updates = int(state["updates"])
            self._averaged.load_state_dict(state["averaged"])

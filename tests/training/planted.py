"""Faults that the tests hang on a trainer, each at one moment."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents


def first(expression: str) -> dict[str, str]:
    """The override of a recipe that hangs a fault of this module before all other handlers."""
    module = f"torch.sys.modules[{__name__!r}]"  # MONAI takes every expression with the word import for one
    return {"train#trainer#train_handlers": f"$[{module}.{expression}] + @train#handlers"}


class Signal:
    """A signal comes in the middle of a step."""

    def __init__(self, number: int, iteration: int, event: str = "FORWARD_COMPLETED") -> None:
        self.number, self.iteration, self.event = number, iteration, IterationEvents[event]

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(self.event, self)

    def __call__(self, engine: Engine) -> None:
        if engine.state.iteration == self.iteration:
            signal.raise_signal(self.number)


class Kill:
    """One process of several is killed, the first time that it comes there."""

    def __init__(self, iteration: int, rank: int) -> None:
        self.iteration, self.rank = iteration, rank

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        if (
            engine.state.iteration == self.iteration
            and os.environ["RANK"] == str(self.rank)
            and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
        ):
            os.kill(os.getpid(), signal.SIGKILL)


class NotANumber:
    """The prediction, or the gradients, of one iteration are no numbers."""

    def __init__(self, iteration: int, gradients: bool = False) -> None:
        self.iteration, self.gradients = iteration, gradients

    def attach(self, engine: Engine) -> None:
        event = IterationEvents.BACKWARD_COMPLETED if self.gradients else IterationEvents.FORWARD_COMPLETED
        engine.add_event_handler(event, self)

    def __call__(self, engine: Engine) -> None:
        if engine.state.iteration != self.iteration:
            return
        if self.gradients:
            next(engine.network.parameters()).grad[0] = float("inf")
        else:
            engine.state.output["pred"] = engine.state.output["pred"] * float("nan")


class Overflow:
    """A weight is infinite after a step."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        if engine.state.iteration == self.iteration:
            next(engine.network.parameters()).data[0] = float("inf")


class Truncated:
    """A file loses its second half when an epoch begins."""

    def __init__(self, path: str, epoch: int) -> None:
        self.path, self.epoch = Path(path), epoch

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        if engine.state.epoch == self.epoch:
            content = self.path.read_bytes()
            self.path.write_bytes(content[: len(content) // 2])

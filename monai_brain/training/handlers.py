"""What the recipes hang on the trainer, where MONAI and Ignite have nothing for it."""

from __future__ import annotations

import csv
import math
import random
import sys
import time
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from ignite.handlers import EarlyStopping
from monai.data.utils import set_rnd
from monai.engines.utils import IterationEvents
from tqdm import tqdm

from monai_brain.errors import MonaiBrainError
from monai_brain.training.run_folder import METRICS_FILE


class ReseedEachEpoch:
    """Every random choice of an epoch follows from the seed, the epoch's number and the process alone.

    So a run that goes on from a checkpoint draws what the unbroken run would have drawn.
    """

    def __init__(self, seed: int, dataloader: Any) -> None:
        self.seed, self.dataloader = int(seed), dataloader

    def attach(self, engine: Engine) -> None:
        """Reseed at each epoch's start."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Reseed torch, NumPy, Python and MONAI's random transforms, and deal the images anew."""
        origin = [self.seed, engine.state.epoch, idist.get_rank()]
        seed = int(np.random.SeedSequence(origin).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        set_rnd(self.dataloader.dataset, seed % 2**31)
        deal = getattr(self.dataloader.sampler, "set_epoch", None)
        if deal is not None:
            deal(engine.state.epoch)


class RefuseNonFiniteLoss:
    """Stop before a loss that is no number reaches the weights.

    Ignite's TerminateOnNan looks after the step, when the weights are lost already.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    def attach(self, engine: Engine) -> None:
        """Test each loss before its backward pass."""
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Raise if the loss of this batch is not finite."""
        loss = engine.state.output["loss"].detach()
        if bool(torch.isfinite(loss).all()):
            return
        cases = [str(case) for case in engine.state.batch.get("case", [])]
        rates = ", ".join(f"{group['lr']:g}" for group in self.optimizer.param_groups)
        raise NonFiniteLossError(
            f"The loss became {loss.item():g} at iteration {engine.state.iteration} "
            f"(epoch {engine.state.epoch}, learning rate {rates}); "
            "the weights before it are kept. Lower learning_rate, or look at the batch: "
            f"{', '.join(cases[:8])}{', ...' if len(cases) > 8 else ''}."
        )


class StopEarly:
    """End the training after so many validations in a row without any gain in accuracy.

    Ignite's EarlyStopping, hung on the evaluator by the trainer's list of handlers: an evaluator that
    named the trainer would close a circle of references in the recipe.
    """

    def __init__(self, evaluator: Engine, epochs: int) -> None:
        self.evaluator, self.epochs = evaluator, int(epochs)
        self._counter: EarlyStopping | None = None

    def attach(self, engine: Engine) -> None:
        """Count the validations of this training."""
        self._counter = EarlyStopping(
            self.epochs, lambda evaluator: evaluator.state.metrics["accuracy"], engine
        )
        self.evaluator.add_event_handler(Events.COMPLETED, self._counter)

    def state_dict(self) -> dict[str, Any]:
        """The count so far and the best accuracy."""
        return dict(self._counter.state_dict()) if self._counter is not None else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on counting from there; a training that had stopped already trains no further."""
        if self._counter is not None:
            self._counter.load_state_dict(state)
            if self._counter.counter >= self._counter.patience:
                self._counter.trainer.terminate()


class NonFiniteLossError(MonaiBrainError):
    """The loss of a training became infinite or no number."""


class Progress:
    """A bar on a terminal, and one line an epoch in metrics.csv.

    The bar shows epoch, loss, accuracies, learning rate and images a second; in a pipe it is silent.
    """

    COLUMNS = ("epoch", "loss", "train_accuracy", "validation_accuracy", "learning_rate", "images_per_second")

    def __init__(
        self,
        run_dir: str | Path,
        evaluator: Engine,
        optimizer: torch.optim.Optimizer,
        show: bool | None = None,
    ) -> None:
        """With `show` None the bar appears where standard error is a terminal."""
        self.path, self.evaluator, self.optimizer = Path(run_dir) / METRICS_FILE, evaluator, optimizer
        self.hidden = None if show is None else not show
        self._bar: Any = None
        self._loss, self._images, self._since = 0.0, 0, 0.0

    def attach(self, engine: Engine) -> None:
        """Follow the training; of several processes only the first shows and writes anything."""
        if idist.get_rank():
            return
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._end_epoch)
        engine.add_event_handler(Events.COMPLETED, self._end)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _begin(self, engine: Engine) -> None:
        total = engine.state.max_epochs * engine.state.epoch_length
        self._bar = tqdm(
            total=total,
            initial=engine.state.epoch * engine.state.epoch_length,
            disable=self.hidden,
            file=sys.stderr,
            unit="batch",
            desc="train",
        )
        self._keep(engine.state.epoch)

    def _keep(self, epochs: int) -> None:
        """Of an earlier run's lines keep those of the epochs that are not run again."""
        lines: list[list[str]] = []
        if self.path.is_file():
            with self.path.open(encoding="utf-8", newline="") as stream:
                lines = [line for line in csv.reader(stream) if line[:1] and line[0].isdigit()]
        with self.path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([self.COLUMNS, *(line for line in lines if int(line[0]) <= epochs)])

    def _begin_epoch(self, engine: Engine) -> None:
        self._loss, self._images, self._since = 0.0, 0, time.perf_counter()

    def _step(self, engine: Engine) -> None:
        output = engine.state.output
        count = len(output["image"])
        self._images += count
        self._bar.update()
        loss = float(output["loss"].detach())
        self._loss += loss * count
        if not self._bar.disable:
            self._bar.set_postfix_str(
                f"epoch {engine.state.epoch}/{engine.state.max_epochs}, loss {loss:.3f}, "
                f"{self._rate():.0f} img/s{self._best()}"
            )

    def _best(self) -> str:
        best = getattr(self.evaluator.state, "best_metric", -1)
        return f", best validation {best:.3f}" if best is not None and best >= 0 else ""

    def _rate(self) -> float:
        return self._images / max(time.perf_counter() - self._since, 1e-9)

    def _end_epoch(self, engine: Engine) -> None:
        validated = self.evaluator.state.metrics if self.evaluator.state.epoch else {}
        line = (
            engine.state.epoch,
            self._loss / max(self._images, 1),
            engine.state.metrics.get("accuracy", math.nan),
            validated.get("accuracy", math.nan),
            self.optimizer.param_groups[0]["lr"],
            self._rate(),
        )
        with self.path.open("a", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerow([line[0], *(f"{value:.6g}" for value in line[1:])])

    def _end(self, engine: Engine) -> None:
        self._bar.close()

    def _fail(self, engine: Engine, error: BaseException) -> None:
        self._bar.close()
        raise error

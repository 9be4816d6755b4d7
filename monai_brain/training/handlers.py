"""What the recipes hang on the trainer, where MONAI and Ignite have nothing for it."""

from __future__ import annotations

import math
import random
from typing import Any, NoReturn

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from ignite.handlers import EarlyStopping
from monai.data.utils import set_rnd
from monai.engines.utils import IterationEvents

from monai_brain.training.failures import NonFiniteError, before_writing
from monai_brain.training.progress import Progress as Progress


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
    """Stop before a loss or a gradient that is no number reaches the weights that are kept.

    Ignite's TerminateOnNan looks after the step, when the weights are lost already. To look at a number
    makes a processor wait for its GPU; there the tests of some steps are looked at in one go, and in any
    case at the end of an epoch, before anything is validated or written.

    Args:
        optimizer: Whose gradients are tested.
        every: Steps between two looks; by default 1, and 50 on a GPU. A bad step between two looks has
            reached the network in memory, but nothing on the disk.
    """

    EVERY_ON_GPU = 50

    def __init__(self, optimizer: torch.optim.Optimizer, every: int | None = None) -> None:
        self.optimizer, self.every = optimizer, every
        self._waiting: list[tuple[torch.Tensor, str, str]] = []

    def attach(self, engine: Engine) -> None:
        """Test each loss before its backward pass, and the gradients before the step."""
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)
        # A GradScaler finds infinite gradients by itself, leaves out the step and lowers its scale.
        if getattr(engine, "scaler", None) is None:
            engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._test_gradients)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._look_now_and_then)
        before_writing(engine, self._look)

    def __call__(self, engine: Engine) -> None:
        """Raise if the loss of this batch is not finite, or note it to be looked at."""
        loss = engine.state.output["loss"].detach()
        if self._waits(loss):
            self._note(engine, torch.isfinite(loss).all(), "The loss became infinite or no number")
        elif not bool(torch.isfinite(loss).all()):
            self._refuse(engine, f"The loss became {loss.item():g}")

    def _test_gradients(self, engine: Engine) -> None:
        gradients = [
            parameter.grad
            for group in self.optimizer.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        # The largest of them: one number to look at instead of one a tensor.
        finite = torch.isfinite(torch.nn.utils.get_total_norm(gradients, math.inf))
        if self._waits(finite):
            self._note(engine, finite, "A gradient became infinite or no number")
        elif not bool(finite):
            count = sum(not bool(torch.isfinite(gradient).all()) for gradient in gradients)
            self._refuse(engine, f"The gradients of {count} tensors became infinite or no number")

    def _waits(self, value: torch.Tensor) -> bool:
        return (self.every or (self.EVERY_ON_GPU if value.is_cuda else 1)) > 1

    def _note(self, engine: Engine, finite: torch.Tensor, what: str) -> None:
        self._waiting.append((finite, what, self._where(engine)))

    def _look_now_and_then(self, engine: Engine) -> None:
        state = engine.state
        every = self.every or self.EVERY_ON_GPU
        if state.iteration % every == 0 or state.iteration % state.epoch_length == 0:
            self._look(engine)

    def _look(self, engine: Engine) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting and not bool((finite := torch.stack([one for one, _, _ in waiting])).all()):
            _, what, where = waiting[int(finite.int().argmin())]
            raise NonFiniteError(f"{what} {where}")

    def _refuse(self, engine: Engine, what: str) -> NoReturn:
        raise NonFiniteError(f"{what} {self._where(engine)}")

    def _where(self, engine: Engine) -> str:
        batch = engine.state.batch
        cases = [str(case) for case in batch.get("case", [])] if isinstance(batch, dict) else []
        rates = ", ".join(f"{group['lr']:g}" for group in self.optimizer.param_groups)
        return (
            f"at iteration {engine.state.iteration} "
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

"""The best weights and the state of a training, each whole on disk or not there."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events

from monai_brain.bundles import WEIGHTS_FILE
from monai_brain.errors import ConfigurationError, IntegrityError
from monai_brain.files import sha256
from monai_brain.inference import weights
from monai_brain.training import checkpoint_files, random_state
from monai_brain.training.checkpoint_files import Checkpoint
from monai_brain.training.failures import NonFiniteError, hand_on, settle
from monai_brain.training.interruption import Interruption

_LOG = logging.getLogger(__name__)


class KeepBestAndLast:
    """Write the whole state after each epoch, and models/model.pt whenever validation is better than before.

    The newest state is what a training goes on from; the one before it is kept for the day on which the
    newest is damaged. Of two equal validations the earlier one is kept. Where nothing validates, the last
    weights are the best.

    SIGINT or SIGTERM in the middle of an epoch writes the state after the step at hand and then acts. To
    go on from there, the epoch's first batches are loaded again and left out. Of several processes each
    would have to be at the same step, so there a signal acts at once, and the epoch is begun anew.
    """

    def __init__(
        self,
        run_dir: str | Path,
        evaluator: Engine,
        network: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        lr_scheduler: Any = None,
        stop: Any = None,
        average: Any = None,
        resume: bool = False,
        keep_every: int = 0,
        parts: Mapping[str, Any] | None = None,
    ) -> None:
        """`keep_every` also keeps the state of every so many epochs; 0 keeps none but the last two.

        `stop` is the StopEarly of the recipe, where it has one; `average` its AverageWeights, whose weights
        are kept in the network's place. Both are attached from here, and are part of the state. So each
        stands once in a recipe, and not as a reference among the handlers, where MONAI Label reads each
        one's _target_.

        `parts` are further objects with state_dict and load_state_dict whose state belongs to the training.
        """
        self.run_dir, self.evaluator, self.resume = Path(run_dir), evaluator, resume
        self.keep_every = int(keep_every)
        self.kept: torch.nn.Module = network if average is None else average.network
        own = {"network": network, "optimizer": optimizer, "lr_scheduler": lr_scheduler, "stop": stop}
        own["average"] = average
        self.parts: dict[str, Any] = {
            name: part for name, part in {**own, **(parts or {})}.items() if part is not None
        }
        self.best: float | None = None
        self.best_epoch = 0
        self.best_sha256: str | None = None
        self._validated = False
        self._interruption = Interruption()

    def attach(self, engine: Engine) -> None:
        """Follow the trainer."""
        for name in ("average", "stop"):
            if name in self.parts:
                self.parts[name].attach(engine)
        if getattr(engine, "scaler", None) is not None:
            self.parts.setdefault("scaler", engine.scaler)
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.COMPLETED, self._end)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)
        hand_on(engine)
        self.evaluator.add_event_handler(Events.COMPLETED, self._mark)

    def _begin(self, engine: Engine) -> None:
        # First of all at the start, for others go by what is restored; last at an epoch's end, for this
        # writes down what the others did.
        for event, handler in (
            (Events.GET_BATCH_STARTED, self._between_steps),
            (Events.EPOCH_COMPLETED, self._end_epoch),
        ):
            if not engine.has_event_handler(handler, event):
                engine.add_event_handler(event, handler)
        if self.resume:
            self._restore(engine)
        if idist.get_world_size() == 1:
            self._interruption.begin()

    def _mark(self, evaluator: Engine) -> None:
        self._validated = True

    def _between_steps(self, engine: Engine) -> None:
        # Here all that follows a step is done, and the next batch is not asked for yet.
        if self._interruption.signal is not None and _step(engine):
            self._interrupt(engine)

    def _interrupt(self, engine: Engine) -> None:
        step = _step(engine)
        if step:
            settle(engine)
            self._write(engine, engine.state.epoch - 1, step, random_state.state())
        _LOG.info("stopped in epoch %d after step %d; --resume goes on from there", engine.state.epoch, step)
        self._interruption.deliver()

    def _end_epoch(self, engine: Engine) -> None:
        validated, self._validated = self._validated, False
        value = float(self.evaluator.state.metrics["accuracy"]) if validated else None
        better = self.best is None if value is None else self.best is None or value > self.best
        if better:
            self.best, self.best_epoch = value, engine.state.epoch
        if not idist.get_rank():  # every process holds the same state; one writes it
            self._write(engine, engine.state.epoch, better=better)
            if better:
                # After the state: from it they can be written again, from the file of before they cannot.
                weights.save(self.kept, self.run_dir / WEIGHTS_FILE)
        if self._interruption.signal is not None:
            _LOG.info("stopped after epoch %d; --resume goes on from there", engine.state.epoch)
            self._interruption.deliver()

    def _end(self, engine: Engine) -> None:
        self._interruption.end()

    def _fail(self, engine: Engine, error: BaseException) -> None:
        if isinstance(error, Exception) and self._interruption.signal is not None:
            # A scheduler that tells every process of a job has ended the loader's workers too. Where the
            # training was waiting for them it is between two steps, and its state is whole.
            if engine.state.batch is None:
                self._interrupt(engine)
            self._interruption.deliver()
        self._interruption.end()

    def _write(
        self, engine: Engine, epoch: int, step: int = 0, random: Any = None, better: bool = False
    ) -> None:
        states = {name: part.state_dict() for name, part in self.parts.items()}
        for network in (self.parts["network"], self.kept):
            _require_finite(network.state_dict(), engine)
        if better:
            self.best_sha256 = weights.state_sha256(self.kept)
        Checkpoint.at(self.run_dir, epoch, step).write(
            {
                "parts": states,
                "epoch": epoch,
                "step": step,
                "epoch_length": engine.state.epoch_length,
                "random": random,
                "running": getattr(engine.state, "running", None) if step else None,
                "best": self.best,
                "best_epoch": self.best_epoch,
                "best_sha256": self.best_sha256,
                "stopped": bool(engine.should_terminate),
            }
        )
        checkpoint_files.thin(self.run_dir, self.keep_every)

    def _restore(self, engine: Engine) -> None:
        found = checkpoint_files.last_whole(self.run_dir)
        if found is None:
            _LOG.warning("%s has no checkpoint yet: its training begins anew", self.run_dir)
            return
        checkpoint, state = found
        lacking = sorted(self.parts.keys() - state["parts"].keys())
        if lacking:
            raise ConfigurationError(
                f"{checkpoint.path} holds no state of {', '.join(lacking)}, which this recipe has. Resume "
                "with the recipe that the run was begun with."
            )
        try:
            for name, part in self.parts.items():
                part.load_state_dict(state["parts"][name])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise IntegrityError(f"{checkpoint.path} is of another training: {reason}.") from None
        self.best, self.best_epoch, self.best_sha256 = (
            state["best"],
            state["best_epoch"],
            state["best_sha256"],
        )
        newer = [other for other in checkpoint_files.found(self.run_dir) if other > checkpoint]
        self._recover_best(checkpoint, bool(newer))
        if not idist.get_rank():
            for damaged in newer:
                damaged.remove()
        self.evaluator.state.best_metric = -1 if self.best is None else self.best
        self._place(engine, checkpoint, state)
        _LOG.info("resumed after epoch %d, step %d", checkpoint.epoch, checkpoint.step)

    def _recover_best(self, checkpoint: Checkpoint, newer: bool) -> None:
        """See to it that models/model.pt holds the best weights up to the checkpoint."""
        path = self.run_dir / WEIGHTS_FILE
        if self.best_sha256 is None or idist.get_rank():
            return
        if path.is_file() and sha256(path) == self.best_sha256:
            return
        if self.best_epoch == checkpoint.epoch and not checkpoint.step:
            weights.save(self.kept, path)
        elif not newer or not path.is_file():
            raise IntegrityError(
                f"{path} has not the SHA-256 {self.best_sha256[:12]}... of the best weights, those of epoch "
                f"{self.best_epoch}. Begin the run anew in another run_dir."
            )
        # Else it may be of an epoch after the checkpoint, trained again now; `outcome` holds it to that.

    def _place(self, engine: Engine, checkpoint: Checkpoint, state: Mapping[str, Any]) -> None:
        length = engine.state.epoch_length
        if checkpoint.step and state["epoch_length"] != length:
            raise ConfigurationError(
                f"{checkpoint.path} stands within an epoch of {state['epoch_length']} steps, but this one "
                f"has {length}. Resume with the batch_size and the datalist that the run was begun with."
            )
        engine.state.epoch, engine.state.iteration = (
            checkpoint.epoch,
            checkpoint.epoch * length + checkpoint.step,
        )
        if checkpoint.step:
            engine.state.running = state["running"]
            engine.state.dataloader = random_state.Continued(
                engine.state.dataloader, checkpoint.step, lambda: random_state.restore(state["random"])
            )
        if state["stopped"]:
            engine.terminate()


def _step(engine: Engine) -> int:
    """How many of the epoch's batches are done, if the optimizer has taken in all of them; else 0."""
    done = int(engine.state.iteration % engine.state.epoch_length)
    return 0 if done % getattr(engine, "accumulation_steps", 1) else done


def _require_finite(state: Mapping[str, torch.Tensor], engine: Engine) -> None:
    for name, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise NonFiniteError(
                f"{name} became infinite or no number by iteration {engine.state.iteration} (epoch "
                f"{engine.state.epoch}) and is not written; the weights before it are kept. "
                "Lower learning_rate."
            )


def outcome(run_dir: str | Path) -> dict[str, Any]:
    """How the training in a run folder went, from its last checkpoint.

    Raises:
        IntegrityError: No checkpoint is whole, or models/model.pt is not what the training wrote.
    """
    found = checkpoint_files.last_whole(run_dir)
    if found is None:
        raise IntegrityError(f"{run_dir} has no checkpoint, so its training has no outcome.")
    _, state = found
    path = Path(run_dir) / WEIGHTS_FILE
    if not path.is_file() or sha256(path) != state["best_sha256"]:
        raise IntegrityError(
            f"{path} is not what the training wrote. Resume the run, or begin it anew in another run_dir."
        )
    return {
        "epochs": state["epoch"],
        "best_epoch": state["best_epoch"],
        "selected_on": "last epoch" if state["best"] is None else "validation accuracy",
        "validation_accuracy": state["best"],
    }

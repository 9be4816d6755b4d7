"""The best weights and the last state of a training, each whole on disk or not there."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events

from monai_brain.bundles import WEIGHTS_FILE
from monai_brain.errors import IntegrityError
from monai_brain.files import whole
from monai_brain.inference import weights
from monai_brain.training.run_folder import CHECKPOINT_FILE

_LOG = logging.getLogger(__name__)


class KeepBestAndLast:
    """Write models/model.pt whenever validation is better than before, and the whole state after each epoch.

    The last state is what a training goes on from. Of two equal validations the earlier one is kept.
    Where nothing validates, the last weights are the best.
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
    ) -> None:
        """`stop` is the StopEarly of the recipe, where it has one; `average` its AverageWeights.

        The average's weights are kept in the network's place. Both are attached from here, and are part
        of the state. So each stands once in a recipe, and not as a reference among the handlers, where
        MONAI Label reads each one's _target_.
        """
        self.run_dir, self.evaluator, self.resume = Path(run_dir), evaluator, resume
        parts = {"network": network, "optimizer": optimizer, "lr_scheduler": lr_scheduler, "stop": stop}
        parts["average"] = average
        self.parts: dict[str, Any] = {name: part for name, part in parts.items() if part is not None}
        self.best: float | None = None
        self.best_epoch = 0
        self._validated = False

    def attach(self, engine: Engine) -> None:
        """Follow the trainer; attach after ValidationHandler and the scheduler, whose work this records."""
        for name in ("average", "stop"):
            if name in self.parts:
                self.parts[name].attach(engine)
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._end_epoch)
        self.evaluator.add_event_handler(Events.COMPLETED, self._mark)

    def _begin(self, engine: Engine) -> None:
        if self.resume:
            self._restore(engine)

    def _mark(self, evaluator: Engine) -> None:
        self._validated = True

    def _end_epoch(self, engine: Engine) -> None:
        validated, self._validated = self._validated, False
        value = float(self.evaluator.state.metrics["accuracy"]) if validated else None
        if value is None and self.best is None:
            self._keep(engine)
        elif value is not None and (self.best is None or value > self.best):
            self.best = value
            self._keep(engine)
        if idist.get_rank():
            return  # every process holds the same state; one writes it
        state = {name: part.state_dict() for name, part in self.parts.items()}
        with whole(self.run_dir / CHECKPOINT_FILE, "wb") as stream:
            torch.save(
                {
                    **state,
                    "epoch": engine.state.epoch,
                    "iteration": engine.state.iteration,
                    "best": self.best,
                    "best_epoch": self.best_epoch,
                },
                stream,
            )

    def _keep(self, engine: Engine) -> None:
        self.best_epoch = engine.state.epoch
        if not idist.get_rank():
            average = self.parts.get("average")
            kept = self.parts["network"] if average is None else average.network
            weights.save(kept, self.run_dir / WEIGHTS_FILE)

    def _restore(self, engine: Engine) -> None:
        path = self.run_dir / CHECKPOINT_FILE
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            for name, part in self.parts.items():
                part.load_state_dict(state[name])
        except Exception as error:  # noqa: BLE001  a damaged archive raises many kinds
            reason = str(error).partition("\n")[0]
            raise IntegrityError(f"{path} cannot be resumed from: {reason}.") from None
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.evaluator.state.best_metric = -1 if self.best is None else self.best
        engine.state.epoch, engine.state.iteration = state["epoch"], state["iteration"]
        _LOG.info("resumed after epoch %d", state["epoch"])


def outcome(run_dir: str | Path) -> dict[str, Any]:
    """How the training in a run folder went, from its last checkpoint."""
    state = torch.load(Path(run_dir) / CHECKPOINT_FILE, map_location="cpu", weights_only=True)
    return {
        "epochs": state["epoch"],
        "best_epoch": state["best_epoch"],
        "selected_on": "last epoch" if state["best"] is None else "validation accuracy",
        "validation_accuracy": state["best"],
    }

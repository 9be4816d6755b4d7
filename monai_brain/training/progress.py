"""What a training shows and records while it runs: a bar, metrics.csv, TensorBoard events."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import math
import sys
import time
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from tqdm import tqdm

from monai_brain.errors import OutputError
from monai_brain.training.failures import before_writing, hand_on
from monai_brain.training.run_folder import EVENTS_FOLDER, METRICS_FILE

STEPS_ON_GPU = 20


class Progress:
    """A bar on a terminal, one line an epoch in metrics.csv, the same figures as TensorBoard events.

    The bar shows epoch, loss, accuracies, learning rate, images a second and the time left; in a pipe it
    is silent. Events are written where tensorboard is installed, and not missed where it is not.
    """

    COLUMNS = ("epoch", "loss", "train_accuracy", "validation_accuracy", "learning_rate", "images_per_second")

    def __init__(
        self,
        run_dir: str | Path,
        evaluator: Engine,
        optimizer: torch.optim.Optimizer,
        show: bool | None = None,
        events: bool = True,
    ) -> None:
        """With `show` None the bar appears where standard error is a terminal."""
        self.run_dir, self.evaluator, self.optimizer = Path(run_dir), evaluator, optimizer
        self.path = self.run_dir / METRICS_FILE
        self.hidden = None if show is None else not show
        self.events = events and importlib.util.find_spec("tensorboard") is not None
        self._bar: Any = None
        self._writer: Any = None
        self._timed, self._since = 0, 0.0
        self.loss = math.nan
        self._waiting: list[tuple[int, torch.Tensor, torch.Tensor]] = []

    def attach(self, engine: Engine) -> None:
        """Follow the training; of several processes only the first shows and writes anything."""
        if idist.get_rank():
            return
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)
        before_writing(engine, self._count)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._end_epoch)
        engine.add_event_handler(Events.COMPLETED, self._end)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)
        hand_on(engine)

    def _begin(self, engine: Engine) -> None:
        total = engine.state.max_epochs * engine.state.epoch_length
        self._bar = tqdm(
            total=total,
            initial=engine.state.iteration,
            disable=self.hidden,
            file=sys.stderr,
            unit="batch",
            desc="train",
            bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left{postfix}]",
        )
        self._keep(engine.state.epoch)
        if self.events:
            from torch.utils.tensorboard import SummaryWriter

            # What an interrupted run recorded of epochs that are run again is hidden, not shown twice.
            self._writer = SummaryWriter(
                str(self.run_dir / EVENTS_FOLDER),
                purge_step=engine.state.epoch + 1 if engine.state.epoch else None,
            )

    def _keep(self, epochs: int) -> None:
        """Of an earlier run's lines keep those of the epochs that are not run again."""
        lines: list[list[str]] = []
        if self.path.is_file():
            with self.path.open(encoding="utf-8", newline="") as stream:
                lines = [line for line in csv.reader(stream) if line[:1] and line[0].isdigit()]
        with self.path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([self.COLUMNS, *(line for line in lines if int(line[0]) <= epochs)])

    def _begin_epoch(self, engine: Engine) -> None:
        # It is part of the engine's state because an epoch that is gone on with has begun it already.
        running = getattr(engine.state, "running", None) or {}
        if running.get("epoch") != engine.state.epoch:
            running = {"epoch": engine.state.epoch, "loss": 0.0, "images": 0, "correct": 0}
        engine.state.running = running
        self._timed, self._since = 0, time.perf_counter()

    def _step(self, engine: Engine) -> None:
        output = engine.state.output
        count, loss = len(output["image"]), output["loss"].detach()
        self._timed += count
        self._waiting.append((count, loss, _correct(output["pred"].detach(), output["label"])))
        # To read a number makes a processor wait for its GPU: there those of some steps are read in one go.
        if not loss.is_cuda or len(self._waiting) >= STEPS_ON_GPU:
            self._count(engine)
        running = engine.state.running
        self._bar.update()
        if not self._bar.disable:
            self._bar.set_postfix_str(
                f"epoch {engine.state.epoch}/{engine.state.max_epochs}, loss {self.loss:.3f}, "
                f"accuracy {running['correct'] / max(running['images'], 1):.3f}{self._best()}, "
                f"lr {self._learning_rate():.2g}, {self._rate():.0f} img/s"
            )

    def _count(self, engine: Engine) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        running = engine.state.running
        losses = torch.stack([loss for _, loss, _ in waiting]).tolist()
        running["correct"] += sum(torch.stack([correct for _, _, correct in waiting]).tolist())
        for (count, _, _), loss in zip(waiting, losses, strict=True):
            running["images"] += count
            running["loss"] += loss * count
        self.loss = losses[-1]

    def _best(self) -> str:
        best = getattr(self.evaluator.state, "best_metric", -1)
        return f", best validation {best:.3f}" if best is not None and best >= 0 else ""

    def _rate(self) -> float:
        return self._timed / max(time.perf_counter() - self._since, 1e-9)

    def _learning_rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def _end_epoch(self, engine: Engine) -> None:
        self._count(engine)
        validated = self.evaluator.state.metrics if self.evaluator.state.epoch else {}
        running = engine.state.running
        images = max(running["images"], 1)
        # Of several processes each has counted its own share only; Ignite's metric has added them up.
        shared = idist.get_world_size() > 1
        values = (
            running["loss"] / images,
            engine.state.metrics.get("accuracy", math.nan) if shared else running["correct"] / images,
            validated.get("accuracy", math.nan),
            self._learning_rate(),
            self._rate(),
        )
        try:
            with self.path.open("a", encoding="utf-8", newline="") as stream:
                csv.writer(stream).writerow([engine.state.epoch, *(f"{value:.6g}" for value in values)])
            if self._writer is not None:
                for name, value in zip(self.COLUMNS[1:], values, strict=True):
                    self._writer.add_scalar(name, value, engine.state.epoch)
                self._writer.flush()
        except OSError as error:
            raise OutputError(
                f"Cannot write into {self.run_dir}: {error.strerror or error}. Free the disk and resume."
            ) from error

    def _end(self, engine: Engine) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._writer is not None:
            self._writer.close()

    def _fail(self, engine: Engine, error: BaseException) -> None:
        with contextlib.suppress(OSError):  # a full disk has been told of
            self._end(engine)


def _correct(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """How many of a batch were told right; of mixed labels (B, C) the heavier one counts."""
    wanted = label.argmax(dim=1) if label.ndim > 1 else label
    return (logits.argmax(dim=1) == wanted).sum()

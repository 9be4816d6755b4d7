"""Inputs in, answers out: threads read, the model takes batches, every input is answered once, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from monai_brain.evaluation.prediction_rows import Predictions
from monai_brain.inference.answers import Answer
from monai_brain.inference.gates import ABSTAINED, DONE, FAILED, Refusal
from monai_brain.inference.names import Entry, Names
from monai_brain.inference.predictor import Predictor
from monai_brain.inference.reading import Looked, Reading, bounded
from monai_brain.inference.study import merged, value

META = ("series", "frame", "view_position", "laterality", "month", "station", "reason")
_AHEAD = 3  # inputs read ahead of the model for each thread


@dataclass
class Opened:
    """An input on its way: what is known, and its images as they come back from the model."""

    looked: Looked
    several: bool = False
    waiting: int = 0
    complete: bool = False
    logits: dict[int, np.ndarray[Any, Any]] = field(default_factory=dict)
    doubts: dict[int, str] = field(default_factory=dict)
    left_out: list[Refusal] = field(default_factory=list)


class Stream:
    """Answers for inputs, one after another; memory holds what is on its way, whatever the archive's size."""

    def __init__(
        self,
        predictor: Predictor,
        reading: Reading,
        names: Names,
        name: Callable[[Iterable[str]], str],
        *,
        batch_size: int | None = None,
        threads: int = 2,
    ) -> None:
        """Take what is needed.

        Args:
            predictor: The model.
            reading: How inputs are made ready.
            names: How inputs are called.
            name: Takes the first free one of several names.
            batch_size: Images in one forward pass; by default the recipe's.
            threads: Threads that read and preprocess.
        """
        self.predictor, self.reading, self.names, self.name = predictor, reading, names, name
        self.size, self.threads = batch_size or predictor.batch_size, threads

    def answers(self, entries: Iterable[Entry]) -> Iterator[list[Answer]]:
        """The answers, in order, as many at a time as are ready after a batch."""
        line: deque[Opened] = deque()
        batch: list[tuple[Opened, int, torch.Tensor]] = []
        with ThreadPoolExecutor(self.threads) as pool:
            ahead = max(self.threads * _AHEAD, self.size)
            for looked in bounded(self.reading.look, entries, pool, ahead):
                for one, index, image in self.images(looked, line, pool):
                    batch.append((one, index, image))
                    one.waiting += 1
                    if len(batch) == self.size:
                        self.ask(batch)
                        batch = []
                ready = self._ready(line)
                if ready:
                    yield ready
            if batch:
                self.ask(batch)
            if ready := self._ready(line):
                yield ready

    def images(
        self, looked: Looked, line: deque[Opened], pool: ThreadPoolExecutor
    ) -> Iterator[tuple[Opened, int, torch.Tensor]]:
        """The images of an input that was looked at, each with its place; the input joins the line."""
        one = Opened(looked)
        line.append(one)
        if looked.tensor is not None:
            yield one, 0, looked.tensor
            looked.tensor = None
        elif looked.refused is None:
            one.several = True
            for index, image in enumerate(self.reading.frames(looked, pool, self.threads * _AHEAD)):
                if isinstance(image, Refusal):
                    one.left_out.append(image)
                else:
                    yield one, index, image
        one.complete = True

    def ask(self, batch: Sequence[tuple[Opened, int, torch.Tensor]]) -> None:
        """Let the model look at images; what it says is kept with their inputs."""
        logits, doubts = self.predictor.scores(torch.stack([image for _, _, image in batch]))
        for (one, index, _), scores, doubt in zip(batch, logits, doubts, strict=True):
            one.logits[index], one.doubts[index] = scores, doubt
            one.waiting -= 1

    def _ready(self, line: deque[Opened]) -> list[Answer]:
        ready = []
        while line and line[0].complete and not line[0].waiting:
            ready.append(self.answer(line.popleft()))
        return ready

    def answer(self, one: Opened) -> Answer:
        """What is said of an input whose images have all been seen."""
        looked = one.looked
        header = looked.header
        form = header.format if header is not None else None
        instance = header.identifiers.get("instance", "") if header is not None else ""
        case = self.name(self.names.candidates(looked.entry, form, instance))
        answer = Answer(looked.entry, case, DONE, header=header, forced=looked.forced)
        refused = looked.refused or _unanswered(one)
        if refused is not None:
            answer.status, answer.reason = refused.status, refused.reason
            return answer
        rows = answer.rows = self._rows(one, case)
        if one.several:
            self._whole(one, rows, answer)
        elif one.doubts[0]:
            answer.status, answer.reason = ABSTAINED, one.doubts[0]
        return answer

    def _whole(self, one: Opened, rows: Predictions, answer: Answer) -> None:
        """The value over the slices of one input."""
        bundle = self.predictor.bundle
        answer.value = value(merged(None, rows), bundle.labels, bundle)
        answer.slices = {}
        for refusal in one.left_out:
            answer.slices[refusal.reason] = answer.slices.get(refusal.reason, 0) + 1
        if answer.value["predicted"] is None:
            answer.status = ABSTAINED
            answer.reason = f"the model abstained from each slice: {next(iter(one.doubts.values()))}"

    def _rows(self, one: Opened, case: str) -> Predictions:
        looked = one.looked
        hidden = self.names.hidden(looked.entry, looked.header.format if looked.header else None)
        base: dict[str, Any] = {"image": "" if hidden else looked.entry.found}
        base |= {name: looked.facts.get(name, "") for name in ("view_position", "laterality")}
        base |= {
            "plane": looked.facts.get("orientation", ""),
            **dict.fromkeys(("series", "month", "station"), ""),
            "group": case if one.several else "",
        }
        if looked.header is not None and looked.header.format == "dicom":
            base |= self._hashed(looked.header.identifiers)
            if "exam" in self.predictor.bundle.facts:  # only quality control asks when and where
                base |= self._when_and_where(looked.header.identifiers)
        items = []
        for index in sorted(one.logits):
            frame = index if one.several else ""
            name = f"{case} frame {index}" if one.several else case
            items.append(base | {"case": name, "frame": frame, "reason": one.doubts[index]})
        return self.predictor.answers(
            items,
            [one.logits[index] for index in sorted(one.logits)],
            abstain=[bool(one.doubts[index]) for index in sorted(one.logits)],
        )

    def _hashed(self, identifiers: dict[str, str]) -> dict[str, str]:
        hashed = self.names.hashed
        patient, study, series = (identifiers.get(name, "") for name in ("patient", "study", "series"))
        return {
            "patient_id": hashed("patient", patient) if patient else "",
            "group": f"study {hashed('study', study)}" if study else "",
            "series": hashed("series", series) if series else "",
        }

    def _when_and_where(self, identifiers: dict[str, str]) -> dict[str, str]:
        """The study's month, never its day, and the station under a hash."""
        date, station = identifiers.get("date", ""), identifiers.get("station", "")
        known = date[:8].isdecimal() and len(date) >= 8 and "01" <= date[4:6] <= "12"
        return {
            "month": f"{date[:4]}-{date[4:6]}" if known else "",
            "station": self.names.hashed("station", station) if station else "",
        }


def _unanswered(one: Opened) -> Refusal | None:
    """Why an input that was let in has no answer all the same."""
    for index, scores in list(one.logits.items()):
        if not np.isfinite(scores).all():
            del one.logits[index]
            one.left_out.append(Refusal(FAILED, "the model gives no finite number for it"))
    if one.logits:
        return None
    return one.left_out[0] if one.left_out else Refusal(FAILED, "empty: it holds no image")

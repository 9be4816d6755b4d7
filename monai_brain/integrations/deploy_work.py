"""One model at work in a deployed application, step by step: each step is what one operator does.

The steps are those of `monai-brain predict`, with its own reader, gates, network and writers, so that the two
cannot differ.
"""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from monai_brain.bundles import Bundle
from monai_brain.dicom_out import codes
from monai_brain.errors import ConfigurationError
from monai_brain.evaluation import predictions
from monai_brain.evaluation.prediction import Prediction
from monai_brain.inference import archive, writers
from monai_brain.inference.answers import Answer
from monai_brain.inference.gates import FAILED, gates
from monai_brain.inference.journal import Journal
from monai_brain.inference.names import Entry, Names
from monai_brain.inference.outputs import Outputs
from monai_brain.inference.predictor import Failure, Item, Predictor
from monai_brain.inference.reading import Reading, bounded
from monai_brain.inference.series import Selection
from monai_brain.inference.stream import Opened, Stream
from monai_brain.integrations.deploy_settings import Settings

if TYPE_CHECKING:
    from monai_brain.dicom_out.write import Written
    from monai_brain.inference.explain import Explainer, Explanation

DICOM_FOLDER, EXPLANATIONS = "dicom", "explanations"
Tell = Callable[[str], None]
Image = tuple[Opened, int, torch.Tensor]


@dataclass
class Portion:
    """What goes from one operator to the next: some inputs, in the state that they are in.

    Attributes:
        entries: The inputs.
        opened: The same, looked at.
        images: Their images as the network takes them, until it has seen them.
        answers: What is said of the inputs.
        last: No further portion follows.
    """

    entries: Sequence[Entry] = ()
    opened: Sequence[Opened] = ()
    images: Sequence[Image] = ()
    answers: Sequence[Answer] = ()
    last: bool = False


@dataclass
class Work:
    """A model, its inputs, and what has become of them.

    Attributes:
        predictor: The model.
        entries: Its inputs.
        folder: Where its results go.
        settings: What may be chosen.
        tell: Takes a line for each failure.
        counts: How many inputs have each status, once all are answered.
        unreported: What could not become a DICOM object, each as `case: reason`.
        written: The DICOM objects.
    """

    predictor: Predictor
    entries: Sequence[Entry]
    folder: Path
    settings: Settings
    tell: Tell
    counts: dict[str, int] = field(default_factory=dict)
    unreported: list[str] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)
    _places: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    _pictures: list[Item] = field(default_factory=list)

    def portions(self) -> Iterator[Portion]:
        """The inputs, a batch at a time; the last portion holds none."""
        size = self.predictor.batch_size
        for begin in range(0, len(self.entries), size):
            yield Portion(entries=self.entries[begin : begin + size])
        yield Portion(last=True)

    def prepare(self, portion: Portion) -> Portion:
        """Look at headers, pass the gates, read, and bring each 2D image to the form the network takes."""
        line: deque[Opened] = deque()
        images: list[Image] = []
        entries = [entry for entry in portion.entries if self._journal.take(entry)]
        with ThreadPoolExecutor(self._threads) as pool:
            for looked in bounded(self._stream.reading.look, entries, pool, 2 * self._threads):
                for image in self._stream.images(looked, line, pool):
                    image[0].waiting += 1
                    images.append(image)
        return Portion(opened=list(line), images=images, last=portion.last)

    def classify(self, portion: Portion) -> Portion:
        """Let the network look at the images; the logits stay with their inputs."""
        size = self.predictor.batch_size
        for begin in range(0, len(portion.images), size):
            self._stream.ask(portion.images[begin : begin + size])
        return Portion(opened=portion.opened, last=portion.last)

    def decide(self, portion: Portion) -> Portion:
        """From logits to answers: probabilities, the class, or why the model abstains."""
        return Portion(answers=[self._stream.answer(one) for one in portion.opened], last=portion.last)

    def write(self, portion: Portion) -> None:
        """Write results.jsonl, predictions.csv and further forms; at the end the studies' values."""
        if not self.entries:
            return
        bundle, sha256 = self.predictor.bundle, self.predictor.weights_sha256
        exams = isinstance(bundle.facts.get("exam"), dict)
        self._outputs.write(portion.answers, self._names, sha256, exams)
        for one in portion.answers:
            if one.status == FAILED:
                self.tell(f"{one.case}: {one.reason}")
            self._remember(one)
        if not portion.last:
            return
        self._outputs.commit()
        rest = self._outputs.whole_writers
        self._outputs.close()
        archive.conclude(self._journal, self.predictor, self.folder, archive.Wishes(exams=exams), rest)
        self.counts = self._journal.counts()
        self._journal.close()

    def report(self) -> None:
        """Write the DICOM reports (SR) of what has been answered."""
        if self.codes_missing is None and self._places:
            from monai_brain.dicom_out.write import write_reports

            self._note(
                write_reports(
                    self._rows, self._places, self.predictor.bundle, self._dicom, self.settings.dicom
                )
            )

    def explain(self) -> dict[str, Explanation]:
        """The heat maps of the DICOM images that the reports refer to, by case."""
        from monai_brain.dicom_out.write import shown
        from monai_brain.inference.explain import Explanation

        if not self.settings.heat_maps or self.maps_missing or self.codes_missing or not self._places:
            return {}
        asked = shown(self._rows, self._places, self.predictor.bundle, self.settings.dicom)
        found: dict[str, Explanation] = {}
        for label in dict.fromkeys(asked.values()):
            items = [_item(case, *self._places[case]) for case, named in asked.items() if named == label]
            for answer in self._explainer.explain(items, label):
                if isinstance(answer, Explanation):
                    found[answer.case] = answer
        return found

    def draw(self) -> None:
        """Write a picture of the evidence for each answered image that is no DICOM."""
        from monai_brain.inference import overlays

        if self.settings.heat_maps and not self.maps_missing and self._pictures:
            explained = (
                one for one in self._explainer.explain(self._pictures) if not isinstance(one, Failure)
            )
            overlays.write(explained, self.predictor.bundle, self.folder / EXPLANATIONS)

    def write_maps(self, maps: dict[str, Explanation]) -> None:
        """Write heat maps as DICOM: Secondary Capture, and Parametric Map with the values."""
        if maps:
            from monai_brain.dicom_out.write import write_heat_maps

            self._note(
                write_heat_maps(
                    self._rows, self._places, self.predictor.bundle, self._dicom, maps, self.settings.dicom
                )
            )

    @functools.cached_property
    def codes_missing(self) -> str | None:
        """Why the model gives no DICOM objects; None where it does."""
        return _why(codes.read, self.predictor.bundle)

    @functools.cached_property
    def maps_missing(self) -> str | None:
        """Why the model gives no heat maps; None where it does."""
        if isinstance(self.predictor.network, torch.jit.ScriptModule):
            return f"{self.predictor.bundle.name} is TorchScript, which cannot be explained: deploy it eager."
        return _why(lambda _: self._explainer, self.predictor.bundle)

    def _remember(self, one: Answer) -> None:
        """Where the images of an answer lie, for reports and pictures; it stays in memory."""
        if one.rows is None or one.entry.member:
            return
        dicom = one.header is not None and one.header.format == "dicom"
        for row in one.rows:
            number = row.meta.get("frame", "")
            frame = int(number) + 1 if number else None
            if dicom:
                self._places[row.case] = (one.entry.place, frame)
            elif not row.abstain:
                self._pictures.append(_item(row.case, one.entry.place, frame))

    def _note(self, written: Written) -> None:
        self.written += written.files
        self.unreported += written.failures
        for line in written.failures:
            self.tell(line)

    @functools.cached_property
    def _rows(self) -> list[Prediction]:
        path = self.folder / writers.PREDICTIONS
        rows: Iterable[Prediction] = predictions.read(path) if path.is_file() else ()
        return [row for row in rows if row.case in self._places]

    @property
    def _dicom(self) -> Path:
        return self.folder / DICOM_FOLDER

    @property
    def _threads(self) -> int:
        return min(8, os.cpu_count() or 1)

    # SQLite lets nobody but the thread that opened it use it: what follows is made by the first step,
    # in whatever thread the steps run.
    @functools.cached_property
    def _journal(self) -> Journal:
        return Journal(None, self._names.key)

    @functools.cached_property
    def _names(self) -> Names:
        return Names(self.settings.names)

    @functools.cached_property
    def _stream(self) -> Stream:
        bundle = self.predictor.bundle
        chosen = Selection(self.entries, bundle, self._names) if self.settings.choose_series else None
        reading = Reading(self.predictor, self._names, gates(bundle), check=chosen)
        return Stream(self.predictor, reading, self._names, self._journal.name, threads=self._threads)

    @functools.cached_property
    def _outputs(self) -> Outputs:
        join = archive.join_file(self.folder, None, self._names)
        return Outputs(self._journal, self.predictor.bundle, self.folder, join)

    @functools.cached_property
    def _explainer(self) -> Explainer:
        from monai_brain.inference.explain import Explainer

        with torch.inference_mode(False):
            return Explainer(self.predictor)


def _item(case: str, place: str, number: int | None) -> Item:
    return {"image": place, "case": case} | ({} if number is None else {"frame": number - 1})


def _why(use: Callable[[Bundle], Any], bundle: Bundle) -> str | None:
    """What is missing for a use, in words; None where nothing is."""
    try:
        use(bundle)
    except (ConfigurationError, ModuleNotFoundError) as error:
        return str(error)
    return None

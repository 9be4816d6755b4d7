"""Labelled probabilities for images: one result or one failure for each, whatever the others are."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tqdm import tqdm

from monai_brain.bundles import Bundle
from monai_brain.inference.answers import Answer, Answers, gathered
from monai_brain.inference.gates import gates
from monai_brain.inference.inputs import Inputs
from monai_brain.inference.journal import Journal
from monai_brain.inference.names import Names
from monai_brain.inference.predictor import Failure as Failure
from monai_brain.inference.predictor import Item as Item
from monai_brain.inference.predictor import Predictor as Predictor
from monai_brain.inference.predictor import reason as reason
from monai_brain.inference.reading import Reading
from monai_brain.inference.stream import Stream


def predict(
    model: str | os.PathLike[str] | Bundle,
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    weights: str | os.PathLike[str] | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    threads: int | None = None,
    names: str = "auto",
    force: bool = False,
    plane: str | None = None,
    progress: bool | None = False,
) -> Answers:
    """Probabilities of every class for every image under the inputs, all in memory.

    For archives that do not fit there, `monai_brain.inference.archive.answer` writes as it goes.

    Args:
        model: a registered name, a bundle folder or a run folder.
        inputs: files, folders, globs, zips, or "@FILE" for a list of them.
        weights: a .pt file or a run folder instead of the model's own weights.
        device: "cuda", "cpu"; by default the GPU where there is one.
        batch_size: images in one forward pass; by default the recipe's.
        threads: threads that read and preprocess; by default one a core.
        names: auto, hashed or plain: how inputs are called; by default DICOM files are hashed.
        force: ask the model even where its gates say that it is not made for the image.
        plane: axial, coronal or sagittal, to cut volumes along; by default as they are stored.
        progress: True or False for a bar, None for one on a terminal.

    Raises:
        MonaiBrainError: The model or an input does not exist. A file that cannot be read raises
            nothing: it stands among the failures.
    """
    found = Inputs(inputs)
    predictor = Predictor(model, weights, device)
    naming = Names(names)
    journal = Journal(None, os.urandom(32))
    reading = Reading(predictor, naming, gates(predictor.bundle), force=force, plane=plane)
    stream = Stream(
        predictor,
        reading,
        naming,
        journal.name,
        batch_size=batch_size,
        threads=threads or os.cpu_count() or 1,
    )
    answers: list[Answer] = []
    hidden = None if progress is None else not progress
    try:
        with tqdm(total=found.count(), unit="image", desc="predict", disable=hidden) as bar:
            for ready in stream.answers(entry for entry in found if journal.take(entry)):
                answers += ready
                bar.update(len(ready))
    finally:
        journal.close()
    return gathered(answers, predictor.bundle, predictor.weights_sha256)

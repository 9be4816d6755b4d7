"""How fast a folder of images is answered, from the files to the results on disk."""

import contextlib
import io
import itertools
import os
import tempfile
import unittest.mock
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.harness import Contest, Way, benchmark
from benchmarks.images import slices

FILES, SIZE, BATCH = 32, 224, 8
MODEL = "brain_tumor_resnet34"


@benchmark("predict", "32 JPEG files of 512 pixels answered onto disk by the improved ResNet34; per file")
def predict() -> Iterator[Contest]:
    from monai_brain import registry
    from monai_brain.inference import archive
    from monai_brain.inference import weights as network_weights
    from monai_brain.inference.predictor import Predictor

    with tempfile.TemporaryDirectory() as folder, own_home(Path(folder) / "home"):
        paths = _files(Path(folder) / "images", slices(20))
        weights = Path(folder) / "model.pt"
        torch.manual_seed(0)
        network_weights.save(network_weights.network(registry.bundle(MODEL)), weights)
        predictor = Predictor(MODEL, weights, "cpu")
        numbers = itertools.count()

        def ours() -> None:
            wishes = archive.Wishes(batch_size=BATCH, threads=2)
            archive.answer(predictor, Path(folder) / "images", Path(folder) / f"out{next(numbers)}", wishes)

        yield Contest(
            Way("predict, whole", ours, FILES),
            (Way("a bare loop with OpenCV", lambda: _by_hand(predictor, paths), FILES, 0.9),),
        )


def _by_hand(predictor, paths: list[Path]) -> str:
    """The same preprocessing by hand, the same batch, the same network; nothing is checked or kept."""
    said = io.StringIO()
    for begin in range(0, len(paths), BATCH):
        images = []
        for path in paths[begin : begin + BATCH]:
            image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.float32)
            image = cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
            images.append((image - image.mean()) / image.std())
        with torch.inference_mode():
            batch = torch.from_numpy(np.stack(images)[:, None])
            probabilities = predictor.network(batch).softmax(1).numpy()
        for path, row in zip(paths[begin:], probabilities, strict=False):
            said.write(f"{path.name},{','.join(map(str, row))}\n")
    return said.getvalue()


def _files(folder: Path, slices: list[np.ndarray]) -> list[Path]:
    folder.mkdir()
    encoded = [cv2.imencode(".jpg", image)[1].tobytes() for image in slices]
    paths = [folder / f"{number:04d}.jpg" for number in range(FILES)]
    for number, path in enumerate(paths):
        path.write_bytes(encoded[number % len(encoded)])
    return paths


@contextlib.contextmanager
def own_home(folder: Path) -> Iterator[None]:
    """A home of the benchmark's own, so that no key goes into the user's."""
    with unittest.mock.patch.dict(os.environ, {"MONAI_BRAIN_HOME": str(folder)}):
        yield

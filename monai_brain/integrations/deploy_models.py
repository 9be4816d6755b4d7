"""The models in a deployed application's model folder, made ready to answer: whole bundles and .ts files."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from monai_brain.bundles import Bundle
from monai_brain.errors import ConfigurationError, IntegrityError, ModelError
from monai_brain.files import sha256, write_json
from monai_brain.inference.configs import INFERENCE, METADATA
from monai_brain.inference.predictor import Predictor
from monai_brain.safety import code, trust

SCRIPTED = ".ts"
_DEPTH = 3


class ScriptedPredictor(Predictor):
    """A TorchScript file made ready to answer: its recipe and its facts stand in the file itself.

    What a network computes inside cannot be looked at here: there are no heat maps, and no limits fitted by
    `calibrate`, which need the features of a layer.
    """

    def __init__(
        self, path: str | os.PathLike[str], device: str | None = None, trusted: Sequence[str] = ()
    ) -> None:
        """Load the file.

        Args:
            path: the file.
            device: "cuda", "cpu"; by default the GPU where there is one.
            trusted: the digests of code that may run though no installed package holds it.

        Raises:
            IntegrityError: It is no TorchScript, or does not hold its metadata and its recipe.
        """
        from monai.data.torchscript_utils import load_net_with_metadata

        try:
            network, metadata, more = load_net_with_metadata(
                str(path), map_location="cpu", more_extra_files=(INFERENCE,)
            )
            recipe = json.loads(more[INFERENCE])
        except Exception as error:  # torch's reader, which is C++, raises many kinds
            raise IntegrityError(
                f"{path} is no TorchScript with {METADATA} and {INFERENCE} inside ({type(error).__name__}). "
                "Write one by: monai-brain export MODEL --format torchscript -o FILE"
            ) from error
        with tempfile.TemporaryDirectory(prefix="monai_brain_") as folder:  # recipes are read from folders
            root = Path(folder) / Path(path).stem
            for name, content in ((METADATA, metadata), (INFERENCE, recipe)):
                write_json(root / "configs" / name, content)
            self.bundle = Bundle.at(root)
            with _known(root, trusted):
                self._follow(device)
        self.network = network.eval().to(self.device)
        self.weights_sha256 = sha256(path)


def found(place: str | os.PathLike[str]) -> list[Path]:
    """The bundle folders and .ts files at or under a place, by path.

    Raises:
        ModelError: There are none.
    """
    models = sorted(_below(Path(place), _DEPTH))
    if not models:
        raise ModelError(
            f"{place} holds no model: neither a bundle (configs/metadata.json) nor a {SCRIPTED} file."
        )
    return models


def ready(
    place: str | os.PathLike[str], device: str | None = None, trusted: Sequence[str] = ()
) -> list[Predictor]:
    """The models under a place, ready to answer.

    Args:
        place: a bundle, a .ts file, or a folder of them.
        device: "cuda", "cpu"; by default the GPU where there is one.
        trusted: the digests of bundles' code that may run though no installed package holds it.

    Raises:
        ConfigurationError: Two of them bear the same name.
        ModelError: There are none, one has no weights or wrong ones, or names code that nobody trusted.
    """
    predictors = [
        _eager(path, device, trusted) if path.is_dir() else ScriptedPredictor(path, device, trusted)
        for path in found(place)
    ]
    names = [predictor.bundle.name for predictor in predictors]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"{place} holds more than one model named {', '.join(twice)}. Keep one.")
    return predictors


def _eager(path: Path, device: str | None, trusted: Sequence[str]) -> Predictor:
    with _known(path, trusted):
        return Predictor(path, device=device)


def _known(root: Path, trusted: Sequence[str]) -> contextlib.AbstractContextManager[None]:
    """Where a bundle may run whose code is among what was trusted."""
    return trust.given() if trusted and code.digest(root) in trusted else contextlib.nullcontext()


def _below(place: Path, depth: int) -> list[Path]:
    if place.is_file():
        return [place] if place.suffix == SCRIPTED else []
    if (place / "configs" / METADATA).is_file():
        return [place]
    if not depth or not place.is_dir():
        return []
    return [model for inside in place.iterdir() for model in _below(inside, depth - 1)]

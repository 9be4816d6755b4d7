"""The models in a deployed application's model folder, made ready to answer: whole bundles and .ts files."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from monai_brain.bundles import Bundle
from monai_brain.errors import ConfigurationError, IntegrityError, ModelError
from monai_brain.files import sha256, write_json
from monai_brain.inference.configs import INFERENCE, METADATA
from monai_brain.inference.predictor import Predictor

SCRIPTED = ".ts"
_DEPTH = 3


class ScriptedPredictor(Predictor):
    """A TorchScript file made ready to answer: its recipe and its facts stand in the file itself.

    What a network computes inside cannot be looked at here: there are no heat maps, and no limits fitted by
    `calibrate`, which need the features of a layer.
    """

    def __init__(self, path: str | os.PathLike[str], device: str | None = None) -> None:
        """Load the file.

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


def ready(place: str | os.PathLike[str], device: str | None = None) -> list[Predictor]:
    """The models under a place, ready to answer.

    Raises:
        ConfigurationError: Two of them bear the same name.
        ModelError: There are none, or one has no weights or wrong ones.
    """
    predictors = [
        Predictor(path, device=device) if path.is_dir() else ScriptedPredictor(path, device)
        for path in found(place)
    ]
    names = [predictor.bundle.name for predictor in predictors]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"{place} holds more than one model named {', '.join(twice)}. Keep one.")
    return predictors


def _below(place: Path, depth: int) -> list[Path]:
    if place.is_file():
        return [place] if place.suffix == SCRIPTED else []
    if (place / "configs" / METADATA).is_file():
        return [place]
    if not depth or not place.is_dir():
        return []
    return [model for inside in place.iterdir() for model in _below(inside, depth - 1)]

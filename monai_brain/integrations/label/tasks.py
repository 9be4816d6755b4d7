"""What MONAI Label asks an application for: to infer, to train, to choose the next image, to score."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from monai_brain.errors import MissingExtraError, MonaiBrainError, UnknownNameError
from monai_brain.integrations.label import geometry, rounds, strategies, training
from monai_brain.integrations.label.answering import Answering, Wish
from monai_brain.integrations.label.served import Served
from monai_brain.integrations.label.stores import refused

try:
    from monailabel.interfaces.tasks.infer_v2 import InferTask
    from monailabel.interfaces.tasks.scoring import ScoringMethod
    from monailabel.interfaces.tasks.strategy import Strategy
    from monailabel.interfaces.tasks.train import TrainTask
except ImportError as error:
    raise MissingExtraError(error.name or "monailabel", "label") from error

MAP_SUFFIX = "_cam"
MAP_THRESHOLD = 0.5


class ServedModel:
    """The version of a model that is served, loaded when it is first asked and again when it changes."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self._ready: tuple[str, Answering] | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the model's order."""
        return self.served.bundle.labels

    def answering(self) -> Answering:
        """The version made ready.

        Raises:
            ModelError: It has no weights.
        """
        return self._loaded()[1]

    def answer(self, image: str, request: dict[str, Any]) -> dict[str, Any]:
        """The answer for an image, with the version that gave it."""
        version, answering = self._loaded()
        return answering.answer(Path(image), Wish.of(request)) | {"version": version}

    def _loaded(self) -> tuple[str, Answering]:
        ready, version = self._ready, self.served.version
        if ready is None or ready[0] != version:
            ready = self._ready = version, Answering(self.served.bundle)
        return ready


class ClassifyTask(InferTask):
    """Classes and scores; with "heatmap": true also a file of where the evidence lies."""

    def __init__(self, model: ServedModel) -> None:
        bundle = model.served.bundle
        labels = {name: index for index, name in enumerate(bundle.labels)}
        text = f"{bundle.metadata.get('description', bundle.name)} {bundle.disclaimer}"
        super().__init__("classification", labels, 2, text, {"slice": "", "plane": "", "heatmap": False})
        self.model = model

    def is_valid(self) -> bool:
        """True: what hinders an answer is said when one is asked for."""
        return True

    def info(self) -> dict[str, Any]:
        """What /info says of the model."""
        served = self.model.served
        weights = served.bundle.weights is not None
        return {**super().info(), "version": served.version, "weights": weights}

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """The map's file, if one is asked for, and the answer."""
        told = self.model.answer(request["image"], request)
        told["label_names"] = self.labels
        wanted = str(request.get("heatmap", "")).lower() in ("true", "1")
        return (_map_file(self.model, request) if wanted and told["scores"] else None), told


class MapTask(InferTask):
    """Where the evidence lies, as the segment "activation": viewers list segmentation models only."""

    def __init__(self, model: ServedModel) -> None:
        text = f"Where {model.served.name} finds its evidence (Grad-CAM). {model.served.bundle.disclaimer}"
        config = {"slice": "", "plane": "", "class": "", "threshold": MAP_THRESHOLD, "heatmap": False}
        super().__init__("segmentation", {"activation": 1}, 3, text, config)
        self.model = model

    def is_valid(self) -> bool:
        """True: as above."""
        return True

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """The file of the segment, or with "heatmap": true of the values, and the answer."""
        told = self.model.answer(request["image"], request)
        told["label_names"] = self.labels
        values = str(request.get("heatmap", "")).lower() in ("true", "1")
        threshold = None if values else float(request.get("threshold") or MAP_THRESHOLD)
        return _map_file(self.model, request, threshold), told


class RoundTask(TrainTask):
    """A round of training on the labels; see `monai_brain.integrations.label.training`."""

    def __init__(self, model: ServedModel, studies: Path | None) -> None:
        super().__init__(f"Train {model.served.name} on the labels; the result is served if it is better")
        self.model, self.studies = model, studies

    def config(self) -> dict[str, Any]:
        """What a client may set."""
        return {"max_epochs": 20, "batch_size": 8}

    def stats(self) -> dict[str, Any]:
        """The version that is served and how the rounds ended."""
        return self.model.served.state

    def __call__(self, request: dict[str, Any], datastore: Any) -> dict[str, Any]:
        """Train once; gives the scores and whether the result is served."""
        settings = {key: request[key] for key in training.SETTINGS if request.get(key) is not None}
        items, left_out = items_of(datastore, self.studies)
        try:
            found = training.run_round(self.model.served, items, settings)
        except MonaiBrainError as error:
            raise refused(error) from None
        return found | {"left_out": left_out}


class NextSample(Strategy):
    """Chooses among the images without a label; "model" in the request says whose doubts count."""

    def __init__(self, name: str, models: dict[str, ServedModel]) -> None:
        super().__init__(strategies.STRATEGIES[name])
        self.name, self.models = name, models
        self._known: dict[tuple[str, str, str], list[float] | None] = {}

    def __call__(self, request: dict[str, Any], datastore: Any) -> dict[str, Any] | None:
        """The image to label next, with how unsure the model is of it."""
        skipped = set(request.get("skip") or ())
        images = [name for name in datastore.get_unlabeled_images() if name not in skipped]
        if not images:
            return None
        if self.name == "random":
            seed = int(request.get("seed") or 0) + len(datastore.labelled()) + len(skipped)
            return {"id": strategies.ranked("random", dict.fromkeys(images), seed)[0]}
        name = str(request.get("model") or next(iter(self.models))).removesuffix(MAP_SUFFIX)
        if name not in self.models:
            raise refused(UnknownNameError("model", name, self.models))
        scores = {image: self._scores(self.models[name], image, datastore) for image in images}
        chosen = strategies.ranked(self.name, scores)[0]
        found = scores[chosen]
        weight = strategies.unsureness(self.name, found) if found is not None else None
        return {"id": chosen, "model": name, "weight": weight}

    def _scores(self, model: ServedModel, image: str, datastore: Any) -> list[float] | None:
        key = (model.served.name, model.served.version, image)
        if key not in self._known:
            try:
                told = model.answer(datastore.get_image_uri(image), {})
                self._known[key] = list(told["scores"].values()) if told["scores"] else None
            except MonaiBrainError:
                self._known[key] = None
        return self._known[key]


class HeldOutScore(ScoringMethod):
    """How well the served versions answer for what is labelled, and for the patients that are held out."""

    def __init__(self, models: dict[str, ServedModel], studies: Path | None) -> None:
        super().__init__("Balanced accuracy and log loss of the served versions on the labelled images")
        self.models, self.studies = models, studies

    def __call__(self, request: dict[str, Any], datastore: Any) -> dict[str, Any]:
        """For each model the score on all labelled images and on the held-out patients."""
        wanted = request.get("model")
        items, left_out = items_of(datastore, self.studies)
        found: dict[str, Any] = {"left_out": left_out}
        for name, model in self.models.items():
            own = [item for item in items if item["class_name"] in model.labels]
            if (wanted and name != wanted) or not own or model.served.bundle.weights is None:
                continue
            placed = rounds.sides(training.read_split(model.served), own)
            held = [item for item in own if placed[item["patient_id"]] == rounds.HELD_OUT]
            judged: list[tuple[str, list[rounds.Labelled]]] = [("labelled", own), ("held_out", held)]
            bundle = model.served.bundle
            found[name] = {
                title: vars(training.judge(bundle, chosen)) for title, chosen in judged if chosen
            } | {"version": model.served.version}
        return found


def items_of(datastore: Any, studies: Path | None) -> tuple[list[rounds.Labelled], int]:
    """What can be trained on in a store, and how many labelled images cannot."""
    labels = [(Path(datastore.get_image_uri(name)), info) for name, info in datastore.labelled().items()]
    return training.labelled_items(labels, studies)


def _map_file(model: ServedModel, request: dict[str, Any], threshold: float | None = None) -> str:
    ending = geometry.extension(str(request.get("result_extension") or ".nii.gz"))
    heat, place = model.answering().map(Path(request["image"]), Wish.of(request))
    values = heat if threshold is None else (heat >= threshold).astype(np.uint8)
    if ending == ".png" and threshold is not None:
        values = values * np.uint8(255)
    with tempfile.NamedTemporaryFile(prefix="monai_brain_map_", suffix=ending, delete=False) as stream:
        path = Path(stream.name)
    geometry.write(values, place, path)
    return str(path)

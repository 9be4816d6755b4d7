"""Where in an image the evidence for a class lies: activation maps in the image's own geometry."""

from __future__ import annotations

import os
import threading
from collections.abc import Container, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor
from tqdm import tqdm

from monai_brain.bundles import Bundle
from monai_brain.data.reader import read_slice
from monai_brain.data.slices import Options, check_contrast
from monai_brain.data.volumes import read_volume, slice_meta
from monai_brain.errors import ConfigurationError, DataError, ModelError, UnknownNameError
from monai_brain.evaluation.predictions import Prediction
from monai_brain.inference import inputs as found_inputs
from monai_brain.inference.maps import ActivationMaps
from monai_brain.inference.predict import Failure, Item, Predictor, reason
from monai_brain.transforms.grey import ToGrey255


@dataclass(frozen=True)
class Explanation:
    """A map of one image for one class.

    Attributes:
        case: the image's name, as in predictions.
        class_name: the class whose evidence is shown.
        heat: (H, W) float32, 0 for the least and 1 for the most evidence; as large as the image. What
            preprocessing cut away is 0: the network did not see it.
        image: (H, W) uint8, the image on the grey scale 0..255.
        prediction: what the model says about the image.
        method: how the map was made: gradcam, ...
        layer: the layer whose activations are shown.
    """

    case: str
    class_name: str
    heat: npt.NDArray[np.float32]
    image: npt.NDArray[np.uint8]
    prediction: Prediction
    method: str
    layer: str


@dataclass(frozen=True)
class _Prepared:
    item: Item
    tensor: torch.Tensor  # (C, h, w), as the network takes it
    trace: list[Any]  # MONAI's record of the spatial transforms that led there
    image: npt.NDArray[np.uint8]  # (H, W)


class Explainer:
    """A model made ready to explain.

    A map is brought back to the image by MONAI's own record of what preprocessing did: each spatial
    transform in it must be an InvertibleTransform, as MONAI's are and those of monai_brain.transforms.
    """

    def __init__(self, predictor: Predictor, method: str = "gradcam", layer: str | None = None) -> None:
        """Take over the predictor's network; the layer is by default the bundle's "cam_layer".

        Raises:
            ConfigurationError: No layer is named, or no such layer or method exists.
            MissingExtraError: pytorch-grad-cam is not installed.
        """
        self.predictor, self.labels = predictor, predictor.bundle.labels
        self.maps = ActivationMaps(predictor.network, layer or bundle_layer(predictor.bundle), method)
        self._lock = threading.Lock()
        self._volume: tuple[Any, list[npt.NDArray[Any]]] = (None, [])

    def explain(
        self,
        items: Iterable[Item],
        target: str | None = None,
        threads: int = 2,
        batch_size: int | None = None,
    ) -> Iterator[Explanation | Failure]:
        """An explanation or a failure for every item, in order.

        Args:
            items: each with its image's path and its case.
            target: name of the class to explain; by default the predicted one.
            threads: threads that read and preprocess.
            batch_size: images explained at once; by default the recipe's, as far as the method allows.

        Raises:
            UnknownNameError: The model has no such class.
        """
        index = None if target is None else self.index(target)
        size = min(batch_size or self.predictor.batch_size, self.maps.greatest_batch)
        queue = iter(items)
        with ThreadPoolExecutor(threads) as pool:
            while batch := list(islice(queue, size)):
                answers = list(pool.map(self._prepare, batch))
                found = iter(self._explained([one for one in answers if isinstance(one, _Prepared)], index))
                yield from (one if isinstance(one, Failure) else next(found) for one in answers)

    def explain_read(self, image: npt.NDArray[Any], meta: dict[str, Any], target: str | None) -> Explanation:
        """An explanation of an image (H, W) that was read already, a slice of a volume say.

        Raises:
            UnknownNameError: The model has no such class.
            ModelError: The model's recipe reads files in its own way.
        """
        if self.predictor.reading is None:
            raise ModelError(f"{self.predictor.bundle.name} reads files in its own way: give it the file.")
        prepared = self._made_ready({"image": "", "case": "image"}, image, meta)
        return self._explained([prepared], None if target is None else self.index(target))[0]

    def index(self, class_name: str) -> int:
        """The place of a class among the network's outputs.

        Raises:
            UnknownNameError: The model has no such class.
        """
        if class_name not in self.labels:
            raise UnknownNameError(f"class of {self.predictor.bundle.name}", class_name, self.labels)
        return self.labels.index(class_name)

    def _prepare(self, item: Item) -> _Prepared | Failure:
        entry = found_inputs.entry_of(item)
        try:
            with entry.file() as path:
                image, meta = self._read(path, item)
                prepared = self._made_ready(item | {"image": str(path)}, image, meta)
        except Exception as error:  # noqa: BLE001  a file from anywhere can make a decoder raise anything
            return Failure(str(item["case"]), reason(error, {"image": entry.member or entry.path}))
        row = {key: value for key, value in item.items() if key not in ("member", "plane")}
        return replace(prepared, item=row | {"image": entry.found})

    def _made_ready(self, item: Item, image: npt.NDArray[Any], meta: dict[str, Any]) -> _Prepared:
        if self.predictor.reading is None:
            tensor = self.predictor.preprocess(found_inputs.named(item))["image"]
        else:
            tensor = self.predictor.transformed(image, meta)
        shown = ToGrey255()(MetaTensor.ensure_torch_and_prune_meta(image, dict(meta))[None])
        trace = list(tensor.applied_operations) if isinstance(tensor, MetaTensor) else []
        plain = tensor.as_tensor() if isinstance(tensor, MetaTensor) else torch.as_tensor(tensor)
        grey = np.asarray(shown)[0].round().astype(np.uint8)
        return _Prepared(item, plain.contiguous(), trace, grey)

    def _read(self, path: Path, item: Item) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        frame = item.get("frame")
        if item.get("plane"):
            return self._cut(path, item)
        options = self.predictor.reading or Options()
        number = options.frame if frame is None else int(frame) + 1
        return read_slice(path, number, options.force, options.voi)

    def _cut(self, path: Path, item: Item) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """One slice of a volume along the item's plane; the slices of one volume mostly follow each other."""
        place = (item["image"], item.get("member"), item["plane"])
        with self._lock:
            if self._volume[0] != place:
                self._volume = (place, read_volume(path, item["plane"]))
            image = self._volume[1][int(item["frame"])]
        check_contrast(path, image)
        return image, slice_meta(image)

    def _explained(self, prepared: list[_Prepared], index: int | None) -> list[Explanation]:
        if not prepared:
            return []
        images = torch.stack([one.tensor for one in prepared]).to(self.predictor.device)
        heat = self.maps(images, None if index is None else [index] * len(prepared))
        logits = self.maps.logits
        rows = self.predictor.answers([one.item for one in prepared], np.asarray(logits))
        return [
            Explanation(
                case=str(one.item["case"]),
                class_name=self.labels[int(logits[row].argmax()) if index is None else index],
                heat=self._back(heat[row], one),
                image=one.image,
                prediction=rows[row],
                method=self.maps.method,
                layer=self.maps.layer,
            )
            for row, one in enumerate(prepared)
        ]

    def _back(self, heat: npt.NDArray[np.float32], one: _Prepared) -> npt.NDArray[np.float32]:
        """A map in the geometry of the image as it was read."""
        tensor = MetaTensor(torch.from_numpy(heat)[None], applied_operations=list(one.trace))
        undone = self.predictor.preprocess.inverse({"image": tensor})["image"] if one.trace else tensor
        found = np.clip(np.asarray(undone, dtype=np.float32)[0], 0, 1)
        if found.shape != one.image.shape:
            raise ModelError(
                f"{self.predictor.bundle.name}: undoing its preprocessing brings a map to {found.shape}, the "
                f"image has {one.image.shape}. Its spatial transforms must all be invertible."
            )
        return found


def explain(
    model: str | os.PathLike[str] | Bundle,
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    method: str = "gradcam",
    layer: str | None = None,
    target: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    device: str | None = None,
    names: str = "auto",
    plane: str | None = None,
    cases: Container[str] | None = None,
    failures: list[Failure] | None = None,
    progress: bool | None = False,
) -> Generator[Explanation]:
    """Maps of where the evidence for a class lies, one after another, for every image under the inputs.

    Args:
        model: a registered name, a bundle folder or a run folder.
        inputs: files, folders, globs, zips, or "@FILE" for a list of them.
        method: gradcam, gradcam++, layercam, eigencam or scorecam. Eigen-CAM looks at no class.
        layer: dotted name of the layer, for example layer4.1; by default the bundle's "cam_layer".
        target: name of the class to explain; by default the predicted one.
        weights: a .pt file or a run folder instead of the model's own weights.
        device: "cuda", "cpu"; by default the GPU where there is one.
        names: auto, hashed or plain: how inputs are called; by default DICOM files are hashed.
        plane: axial, coronal or sagittal, to cut volumes along; by default as they are stored.
        cases: explain these alone; by default all.
        failures: a list that takes the inputs that cannot be read; without it the first one is an error.
        progress: True or False for a bar, None for one on a terminal.

    Raises:
        MonaiBrainError: At once where model, inputs, method, layer or class do not exist.
        DataError: An input cannot be read, and `failures` was not given.
    """
    items = found_inputs.find(inputs, names, frames=True, plane=plane)
    if cases is not None:
        items = [item for item in items if item["case"] in cases]
    with torch.inference_mode(False):  # weights that were made in it could never be differentiated through
        explainer = Explainer(Predictor(model, weights, device), method, layer)
    if target is not None:
        explainer.index(target)
    return _explanations(explainer, items, target, failures, progress)


def _explanations(
    explainer: Explainer,
    items: list[Item],
    target: str | None,
    failures: list[Failure] | None,
    progress: bool | None,
) -> Generator[Explanation]:
    hidden = None if progress is None else not progress
    with tqdm(total=len(items), unit="image", desc="explain", disable=hidden) as bar:
        for answer in explainer.explain(items, target, threads=os.cpu_count() or 1):
            bar.update()
            if isinstance(answer, Explanation):
                yield answer
            elif failures is None:
                raise DataError(f"{answer.case}: {answer.reason}")
            else:
                failures.append(answer)


def bundle_layer(bundle: Bundle) -> str:
    """The layer that the bundle is explained by.

    Raises:
        ConfigurationError: It names none.
    """
    layer = bundle.facts.get("cam_layer")
    if not layer:
        raise ConfigurationError(
            f"{bundle.name} names no layer to explain by. Name one by layer (--layer), or write it into "
            "configs/metadata.json as monai_brain.cam_layer."
        )
    return str(layer)

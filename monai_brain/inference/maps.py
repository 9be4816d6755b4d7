"""Class activation maps of a network's layer, for batches of images as the network takes them."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from monai_brain.errors import ConfigurationError, MissingExtraError, UnknownNameError
from monai_brain.inference.fuse import fuse

# name -> class in pytorch_grad_cam, and the greatest batch: Score-CAM runs every channel of every image.
METHODS = {
    "gradcam": ("GradCAM", 16),
    "gradcam++": ("GradCAMPlusPlus", 16),
    "layercam": ("LayerCAM", 16),
    "eigencam": ("EigenCAM", 16),
    "scorecam": ("ScoreCAM", 1),
}


_ROUNDING = 1e-4


class ActivationMaps:
    """A network made ready to show where its evidence lies; it no longer computes gradients of its weights.

    Its weights are those of the first call: that one may make a copy which is faster.

    Attributes:
        greatest_batch: how many images one call should hold at most.
        logits: the network's answer to the images of the last call, (B, classes).
        grid: the greater side of the layer's output in the last call.
    """

    def __init__(self, network: nn.Module, layer: str, method: str = "gradcam") -> None:
        """Choose the layer by its dotted name, `layer4` or `layer4.1`, and the method by one of `METHODS`.

        Raises:
            UnknownNameError: There is no such method or layer.
            MissingExtraError: pytorch-grad-cam is not installed.
        """
        if method not in METHODS:
            raise UnknownNameError("method", method, METHODS)
        name, self.greatest_batch = METHODS[method]
        layers = {name: module for name, module in network.named_modules() if name}
        if layer not in layers:
            raise UnknownNameError("layer", layer, layers)
        self._cam = getattr(_package("pytorch_grad_cam"), name)
        self._target = _package("pytorch_grad_cam.utils.model_targets").ClassifierOutputTarget
        self.network, self.layer, self.method = network.eval().requires_grad_(False), layer, method
        self._module = layers[layer]
        self._chosen: tuple[nn.Module, nn.Module] | None = None
        self.grid = 0
        self.logits: npt.NDArray[np.float32] = np.zeros((0, 0), np.float32)

    def __call__(self, images: torch.Tensor, classes: Sequence[int] | None = None) -> npt.NDArray[np.float32]:
        """Maps (B, h, w), 0 for the least and 1 for the most evidence, of images (B, C, h, w).

        A map without any evidence for the class is 0 everywhere.

        Args:
            images: preprocessed images, on the network's device.
            classes: index of the class to explain for each; by default the predicted one.

        Raises:
            ConfigurationError: The layer takes no part in the answer, or gives no feature maps.
        """
        targets = None if classes is None else [self._target(index) for index in classes]
        with torch.inference_mode(False):
            images = images.clone()  # one made in inference mode could not be worked with here
            network, self._module = self._quickest(images)
            if images.device.type == "cpu" and images.ndim == 4:
                images = images.contiguous(memory_format=torch.channels_last)
        # A caller's no_grad or inference_mode would leave nothing to take gradients of.
        with torch.inference_mode(False), torch.enable_grad(), self._watched() as shapes:
            # Cloned, because a layer that works in place may overwrite the output before it is looked at.
            cam = self._cam(network, [self._module], reshape_transform=torch.clone)
            try:
                with self._quiet():
                    heat = cam(input_tensor=images, targets=targets)
            except Exception as error:
                self._refuse(shapes, error)
                raise
            finally:
                cam.activations_and_grads.release()
        self.grid = max(shapes[0][-2:])
        self.logits = cam.outputs.detach().float().cpu().numpy()
        return np.clip(np.nan_to_num(heat), 0, 1).astype(np.float32)

    def _quickest(self, images: torch.Tensor) -> tuple[nn.Module, nn.Module]:
        """A copy of the network for inference and its layer; the network itself where they would differ.

        A processor convolves fastest without BatchNorm and with channels last. Folding changes what some
        layers give, though, so the layer's own output to an image decides.
        """
        if self._chosen is None:
            self._chosen = self.network, self._module
            if images.device.type == "cpu" and images.ndim == 4 and len(images):
                folded = fuse(self.network).requires_grad_(False).to(memory_format=torch.channels_last)
                layer = dict(folded.named_modules()).get(self.layer)
                if layer is not None and _alike(self._chosen, (folded, layer), images[:1]):
                    self._chosen = folded, layer
        return self._chosen

    @contextlib.contextmanager
    def _watched(self) -> Iterator[list[tuple[int, ...]]]:
        """Let gradients begin at the layer, so that nothing below it is kept; gives its outputs' shapes."""
        shapes: list[tuple[int, ...]] = []

        def hook(module: nn.Module, given: Any, output: Any) -> Any:
            shapes.append(tuple(getattr(output, "shape", ())))
            return output.detach().requires_grad_().clone()

        handle = self._module.register_forward_hook(hook)
        try:
            yield shapes
        finally:
            handle.remove()

    def _quiet(self) -> contextlib.AbstractContextManager[Any]:
        """Score-CAM draws a bar for every image, and cannot be told not to."""
        return (
            contextlib.redirect_stderr(io.StringIO())
            if self.method == "scorecam"
            else contextlib.nullcontext()
        )

    def _refuse(self, shapes: list[tuple[int, ...]], error: Exception) -> None:
        if not shapes:
            raise ConfigurationError(
                f"Layer {self.layer!r} takes no part in the answer. Name another."
            ) from error
        if len(shapes[0]) != 4:
            raise ConfigurationError(
                f"Layer {self.layer!r} gives shape {shapes[0]}; a map needs (B, C, h, w). "
                "Name a convolution or a stage."
            ) from error


def _alike(one: tuple[nn.Module, nn.Module], other: tuple[nn.Module, nn.Module], image: torch.Tensor) -> bool:
    """Whether two layers of two networks give the same for an image, but for rounding."""
    outputs: list[Any] = []
    for network, layer in (one, other):
        handle = layer.register_forward_hook(lambda module, given, output: outputs.append(output.clone()))
        try:
            with torch.no_grad():
                network(image)
        except Exception:  # noqa: BLE001  what a layer gives that is no tensor is refused elsewhere, in words
            return False
        finally:
            handle.remove()
    if len(outputs) != 2 or outputs[0].shape != outputs[1].shape:
        return False
    return bool((outputs[0] - outputs[1]).abs().max() <= _ROUNDING * outputs[0].abs().max())


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtraError("pytorch_grad_cam", "explain") from error

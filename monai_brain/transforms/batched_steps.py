"""What every step over a whole batch of images has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch

from monai_brain.errors import ConfigurationError

Draws = dict[str, torch.Tensor]
# Devices on which it is worth while to count first which images a transform is for.
COUNTING = frozenset({"cpu"})


class NoBatchedVersionError(ConfigurationError):
    """A transform, or a setting of one, that works on single images alone."""


class BatchedStep(ABC):
    """One transform of whole batches (B, C, H, W), with numbers of its own for each image.

    What is drawn and what is done with it are two calls, so that a step can be held against the
    transform of single images with the same numbers.
    """

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        """The random numbers for so many images, each of shape (B, ...), on the generator's device."""
        return {}

    @abstractmethod
    def apply(self, images: torch.Tensor, draws: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The images, transformed by these numbers."""

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """The images, transformed at random."""
        return self.apply(images, self.draw(len(images), generator))


def uniform(
    low: float, high: float, shape: int | tuple[int, ...], generator: torch.Generator
) -> torch.Tensor:
    """Uniform numbers from low to high."""
    size = (shape,) if isinstance(shape, int) else shape
    return low + (high - low) * torch.rand(size, generator=generator, device=generator.device)


def chosen(probability: float, count: int, generator: torch.Generator) -> torch.Tensor:
    """Which images a transform of this probability is for, (B,)."""
    return torch.rand(count, generator=generator, device=generator.device) < probability


def changed(
    images: torch.Tensor,
    draws: Mapping[str, torch.Tensor],
    change: Callable[[torch.Tensor, Mapping[str, torch.Tensor]], torch.Tensor],
) -> torch.Tensor:
    """The images, those that `draws["on"]` names changed.

    On a CPU only those are worked on. On a GPU all are: it does so sooner than it could say how many.
    """
    on = draws["on"]
    if not counts(images):
        return torch.where(on[:, None, None, None], change(images, draws), images)
    rows = on.nonzero()[:, 0]
    if not len(rows):
        return images
    some = change(images[rows], {name: values[rows] for name, values in draws.items()})
    return some if len(rows) == len(images) else images.index_copy(0, rows, some)


def counts(images: torch.Tensor) -> bool:
    """Whether only the images that a transform is for are worked on."""
    return images.device.type in COUNTING


def image_only(transform: Any) -> None:
    """Refuse a transform of other keys than the image's, or one that waits for others.

    Raises:
        NoBatchedVersionError: It is one.
    """
    name = type(transform).__name__
    keys = tuple(transform.keys)
    if keys != ("image",):
        raise NoBatchedVersionError(f"{name} transforms {', '.join(map(str, keys))}, not the image alone")
    if getattr(transform, "lazy", False):
        raise NoBatchedVersionError(f"{name} is lazy")


def require(transform: Any, holds: bool, setting: str) -> None:
    """Refuse a setting that has no batched version.

    Raises:
        NoBatchedVersionError: The setting, named.
    """
    if not holds:
        raise NoBatchedVersionError(f"{type(transform).__name__} with {setting} has no batched version")

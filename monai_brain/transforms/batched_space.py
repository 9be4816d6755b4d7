"""Crops, flips and affine maps of whole batches, equal to MONAI's of single images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch.nn.functional import grid_sample

from monai_brain.transforms.batched_steps import BatchedStep, Draws, changed, chosen, uniform


class BatchedCropResize(BatchedStep):
    """A random part of each image, enlarged to one size: RandScaleCropd and the ResizeSliced after it.

    Args:
        smallest: Least height and width of the part, in pixels.
        largest: Greatest.
        image: Height and width of the images.
        size: Edge of what comes out; no part may be greater.
    """

    def __init__(
        self, smallest: tuple[int, int], largest: tuple[int, int], image: tuple[int, int], size: int
    ) -> None:
        self.smallest, self.largest, self.image, self.size = smallest, largest, image, size

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        """Corner and size of each part: top, left, height, width."""
        spans = []
        for least, most, whole in zip(self.smallest, self.largest, self.image, strict=True):
            length = _integers(torch.full((count,), least, device=generator.device), most, generator)
            corner = _integers(torch.zeros_like(length), whole - length, generator)
            spans.append((corner, length))
        (top, height), (left, width) = spans
        return {"box": torch.stack([top, left, height, width], dim=1)}

    def apply(self, images: torch.Tensor, draws: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The parts, (B, C, size, size), by bilinear interpolation within each."""
        top, left, height, width = draws["box"].to(images)[:, :, None].unbind(dim=1)
        place = (torch.arange(self.size, device=images.device, dtype=images.dtype) + 0.5) / self.size
        rows = top + (place * height - 0.5).clamp_min(0).minimum(height - 1)
        columns = left + (place * width - 0.5).clamp_min(0).minimum(width - 1)
        middle = [(length - 1) / 2 for length in images.shape[2:]]
        return _sampled(images, (rows - middle[0])[:, :, None], (columns - middle[1])[:, None, :])


class BatchedFlip(BatchedStep):
    """RandFlipd: each image mirrored with a probability.

    Args:
        probability: Of an image to be mirrored.
        axes: The spatial axes, 0 for rows and 1 for columns.
    """

    def __init__(self, probability: float, axes: Sequence[int]) -> None:
        self.probability, self.dims = probability, [axis + 2 for axis in axes]

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        """Which images are mirrored."""
        return {"on": chosen(self.probability, count, generator)}

    def apply(self, images: torch.Tensor, draws: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The images, some mirrored."""
        return changed(images, draws, lambda some, _: some.flip(self.dims))


class BatchedAffine(BatchedStep):
    """RandAffined: each image turned, shifted and scaled about its centre.

    Args:
        probability: Of an image to be moved.
        turn: Least and greatest angle in radians.
        shift: The same in pixels, for rows and columns.
        scale: The same as factors, for rows and columns.
        mode: "bilinear" or "nearest".
        padding: What lies outside: "border", "zeros" or "reflection".
    """

    Range = tuple[float, float]

    def __init__(
        self,
        probability: float,
        turn: Range,
        shift: tuple[Range, Range],
        scale: tuple[Range, Range],
        mode: str,
        padding: str,
    ) -> None:
        self.probability, self.turn, self.shift, self.scale = probability, turn, shift, scale
        self.mode, self.padding = mode, padding

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        """Angle, shifts and factors."""
        return {
            "on": chosen(self.probability, count, generator),
            "turn": uniform(*self.turn, count, generator),
            "shift": torch.stack([uniform(*span, count, generator) for span in self.shift], dim=1),
            "scale": torch.stack([uniform(*span, count, generator) for span in self.scale], dim=1),
        }

    def apply(self, images: torch.Tensor, draws: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The images, moved."""
        return changed(images, draws, self._moved)

    def _moved(self, images: torch.Tensor, draws: Mapping[str, torch.Tensor]) -> torch.Tensor:
        axes = []
        for axis, length in enumerate(images.shape[2:]):
            centred = torch.arange(length, device=images.device, dtype=images.dtype) - (length - 1) / 2
            axes.append(centred * draws["scale"][:, axis, None] + draws["shift"][:, axis, None])
        rows, columns = axes[0][:, :, None], axes[1][:, None, :]
        sine, cosine = draws["turn"].sin()[:, None, None], draws["turn"].cos()[:, None, None]
        return _sampled(
            images,
            cosine * rows - sine * columns,
            sine * rows + cosine * columns,
            mode=self.mode,
            padding=self.padding,
        )


def _integers(low: torch.Tensor, high: int | torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Whole numbers from low to high, both included, each as likely, (B,)."""
    share = torch.rand(len(low), generator=generator, device=low.device, dtype=torch.float64)
    return low + (share * (high - low + 1)).long()


def _sampled(
    images: torch.Tensor,
    rows: torch.Tensor,
    columns: torch.Tensor,
    mode: str = "bilinear",
    padding: str = "border",
) -> torch.Tensor:
    """The images at these places, in pixels from the centre; (B, H, 1), (B, 1, W) or (B, H, W)."""
    height, width = images.shape[2:]
    rows, columns = torch.broadcast_tensors(rows * (2.0 / max(height, 2)), columns * (2.0 / max(width, 2)))
    grid = torch.stack([columns, rows], dim=-1)
    return grid_sample(images, grid, mode=mode, padding_mode=padding, align_corners=False)


def crop_sizes(scale: Sequence[float], image: Sequence[int]) -> tuple[int, int]:
    """Height and width of a part that is so great a share of an image, rounded up as MONAI does."""
    height, width = (math.ceil(share * length) for share, length in zip(scale, image, strict=True))
    return height, width

"""Images of a batch mixed with one another: MixUp and CutMix, with numbers of its own for each image."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from monai_brain.errors import ConfigurationError


@dataclass(frozen=True)
class Mix:
    """How a batch is to be mixed.

    Attributes:
        partner: For each image the index of the image that is mixed into it. (B,)
        share: How much of its own each image keeps; of CutMix, of its area. (B,)
        boxes: Top, bottom, left and right of what CutMix takes from the partner, end-exclusive; None for
            MixUp, which mixes all over. (B, 4)
    """

    partner: torch.Tensor
    share: torch.Tensor
    boxes: torch.Tensor | None = None


def draw(
    count: int,
    size: tuple[int, int],
    mixup: float,
    cutmix: float,
    probability: float,
    generator: torch.Generator,
) -> Mix | None:
    """The numbers for one batch, drawn on the CPU; None where this batch is left alone.

    Args:
        count: Images in the batch.
        size: Height and width.
        mixup: Alpha of MixUp's beta distribution (Zhang et al., ICLR 2018); 0 for never.
        cutmix: Alpha of CutMix's (Yun et al., ICCV 2019); 0 for never. With both, either is as likely.
        probability: Of a batch to be mixed.
        generator: Where the numbers come from.

    Raises:
        ConfigurationError: A number outside of its range.
    """
    if mixup < 0 or cutmix < 0 or not 0 <= probability <= 1:
        raise ConfigurationError(
            f"mixup and cutmix must be 0 or more and mix_probability 0 to 1, got {mixup}, {cutmix} and "
            f"{probability}."
        )
    chance, either = torch.rand(2, generator=generator).tolist()
    if chance >= probability or not (mixup or cutmix):
        return None
    cut = bool(cutmix) and (not mixup or either < 0.5)
    share = _beta(cutmix if cut else mixup, count, generator)
    partner = torch.randperm(count, generator=generator)
    if not cut:
        return Mix(partner, share)
    height, width = size
    edge = (1 - share).sqrt()
    centre = torch.rand(2, count, generator=generator)
    spans = []
    for length, middle in ((height, centre[0]), (width, centre[1])):
        low = (middle * length - edge * length / 2).round().clamp(0, length)
        high = (middle * length + edge * length / 2).round().clamp(0, length)
        spans += [low, high]
    boxes = torch.stack(spans, dim=1)
    kept = 1 - (boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2]) / (height * width)
    return Mix(partner, kept, boxes)


def mixed(values: torch.Tensor, mix: Mix, *, labels: bool = False) -> torch.Tensor:
    """Images (B, C, H, W), or with `labels` their class scores (B, classes), mixed as drawn."""
    partner = mix.partner.to(values.device)
    other = values[partner]
    if mix.boxes is None or labels:
        share = mix.share.to(values).view(-1, *[1] * (values.ndim - 1))
        return values * share + other * (1 - share)
    top, bottom, left, right = mix.boxes.to(values.device).T[:, :, None]
    rows = torch.arange(values.shape[2], device=values.device)
    columns = torch.arange(values.shape[3], device=values.device)
    inside = ((rows >= top) & (rows < bottom))[:, None, :, None]
    inside = inside & ((columns >= left) & (columns < right))[:, None, None, :]
    return torch.where(inside, other, values)


def _beta(alpha: float, count: int, generator: torch.Generator) -> torch.Tensor:
    """Draws of Beta(alpha, alpha), from two gammas."""
    shape = torch.full((2, count), float(alpha), dtype=torch.float64)
    first, second = torch._standard_gamma(shape, generator)
    return (first / (first + second).clamp_min(torch.finfo(torch.float64).tiny)).float()

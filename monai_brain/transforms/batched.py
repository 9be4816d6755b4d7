"""A recipe's augmentation for whole batches, made from the transforms of single images that it lists.

One list, two ways to run it: MONAI's transforms as they are, image by image, or what `batched` makes of
them, on a batch that lies on a GPU. Both draw from the same distributions, and for the same numbers give
the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai import transforms as monai_transforms

from monai_brain.transforms import batched_intensity as intensity
from monai_brain.transforms import batched_space as space
from monai_brain.transforms.batched_steps import BatchedStep, NoBatchedVersionError, image_only, require
from monai_brain.transforms.resize import ResizeSliced

Shape = tuple[int, int, int]
Range = tuple[float, float]


class BatchedTransforms:
    """Transforms of whole batches, one after the other.

    Args:
        steps: What is done, in order.
        shape: Channels, height and width of the images that come out.
    """

    def __init__(self, steps: Sequence[BatchedStep], shape: Shape) -> None:
        self.steps, self.shape = tuple(steps), shape

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Images (B, C, H, W), float, transformed at random; the generator is of their device."""
        for step in self.steps:
            images = step(images, generator)
        return images


def batched(transforms: Sequence[Any], shape: Shape) -> BatchedTransforms:
    """The batched versions of a list of MONAI's and our dictionary transforms.

    Args:
        transforms: As a recipe lists them.
        shape: Channels, height and width of the images that go in.

    Raises:
        NoBatchedVersionError: One of them has none, or one of its settings; it is named.
    """
    left = list(transforms)
    steps: list[BatchedStep] = []
    while left:
        transform = left.pop(0)
        build = _VERSIONS.get(type(transform))
        if build is None:
            raise NoBatchedVersionError(f"{type(transform).__name__} has no batched version")
        image_only(transform)
        try:
            step, shape = build(transform, shape, left)
        except AttributeError as error:  # another version of MONAI keeps its settings elsewhere
            name = type(transform).__name__
            raise NoBatchedVersionError(f"{name} of this MONAI has no batched version ({error})") from error
        steps += step
    return BatchedTransforms(steps, shape)


Built = tuple[list[BatchedStep], Shape]


def _crop(transform: Any, shape: Shape, left: list[Any]) -> Built:
    cropper = transform.cropper
    require(transform, cropper.random_center, "random_center=False")
    following = left.pop(0) if left and type(left[0]) is ResizeSliced else None
    require(transform, following is not None, "no ResizeSliced after it")
    image_only(following)
    size = _of(following).size
    least = space.crop_sizes(_pair(cropper.roi_scale), shape[1:])
    most = least
    if cropper.random_size:
        most = (
            shape[1:]
            if cropper.max_roi_scale is None
            else space.crop_sizes(_pair(cropper.max_roi_scale), shape[1:])
        )
    require(transform, all(0 < low <= high for low, high in zip(least, most, strict=True)), "these sizes")
    most = (min(most[0], shape[1]), min(most[1], shape[2]))
    require(transform, max(most) <= size, f"a ResizeSliced to {size} pixels, less than the part,")
    step = space.BatchedCropResize(least, most, shape[1:], size)
    return [step], (shape[0], size, size)


def _resize(transform: Any, shape: Shape, left: list[Any]) -> Built:
    size = _of(transform).size
    require(transform, shape[1:] == (size, size), "images of another size")
    return [], shape


def _flip(transform: Any, shape: Shape, left: list[Any]) -> Built:
    axes = transform.flipper.spatial_axis
    axes = (0, 1) if axes is None else (axes,) if isinstance(axes, int) else tuple(axes)
    return [space.BatchedFlip(transform.prob, [axis % 2 for axis in axes])], shape


def _affine(transform: Any, shape: Shape, left: list[Any]) -> Built:
    inner = transform.rand_affine
    grid = inner.rand_affine_grid
    require(transform, not _ranges(grid.shear_range), "shear_range")
    size = inner.spatial_size
    require(transform, size is None or set(_tuple(size)) <= {None, -1}, "spatial_size")
    mode, padding = str(transform.mode[0]), str(transform.padding_mode[0])
    require(transform, mode in ("bilinear", "nearest"), f"mode={mode}")
    require(transform, padding in ("border", "zeros", "reflection"), f"padding_mode={padding}")
    turn, shift, scale = (
        _ranges(found) for found in (grid.rotate_range, grid.translate_range, grid.scale_range)
    )
    factors = [(low + 1, high + 1) for low, high in scale]
    step = space.BatchedAffine(
        transform.prob,
        (turn or [(0.0, 0.0)])[0],
        _two(shift, (0.0, 0.0)),
        _two(factors, (1.0, 1.0)),
        mode,
        padding,
    )
    return [step], shape


def _shift(transform: Any, shape: Shape, left: list[Any]) -> Built:
    inner = transform.shifter
    require(transform, not inner.channel_wise, "channel_wise")
    require(transform, set(transform.factor_key) == {None}, "factor_key")
    return [intensity.BatchedShift(transform.prob, inner.offsets)], shape


def _scale(transform: Any, shape: Shape, left: list[Any]) -> Built:
    inner = transform.scaler
    require(transform, not inner.channel_wise, "channel_wise")
    return [intensity.BatchedScale(transform.prob, inner.factors)], shape


def _gamma(transform: Any, shape: Shape, left: list[Any]) -> Built:
    inner = transform.adjuster
    require(transform, not inner.invert_image and not inner.retain_stats, "invert_image or retain_stats")
    return [intensity.BatchedGamma(transform.prob, inner.gamma)], shape


def _noise(transform: Any, shape: Shape, left: list[Any]) -> Built:
    inner = transform.rand_gaussian_noise
    least = 0.0 if inner.sample_std else inner.std
    return [intensity.BatchedNoise(transform.prob, inner.mean, (least, inner.std))], shape


def _bias_field(transform: Any, shape: Shape, left: list[Any]) -> Built:
    inner = transform.rand_bias_field
    low, high = inner.coeff_range
    return [intensity.BatchedBiasField(transform.prob, inner.degree, (low, high))], shape


def _blur(transform: Any, shape: Shape, left: list[Any]) -> Built:
    inner = transform.rand_smooth
    require(transform, inner.approx == "erf", f"approx={inner.approx}")
    return [intensity.BatchedBlur(transform.prob, inner.sigma_x, inner.sigma_y)], shape


def _standardize(transform: Any, shape: Shape, left: list[Any]) -> Built:
    inner = transform.normalizer
    require(transform, inner.subtrahend is None and inner.divisor is None, "subtrahend or divisor")
    require(transform, not inner.nonzero, "nonzero")
    return [intensity.BatchedStandardize(bool(inner.channel_wise))], shape


def _repeat(transform: Any, shape: Shape, left: list[Any]) -> Built:
    times = int(transform.repeater.repeats)
    return [intensity.BatchedRepeat(times)], (shape[0] * times, *shape[1:])


# By the class itself: a subclass may do something else.
_VERSIONS: dict[type, Callable[[Any, Shape, list[Any]], Built]] = {
    ResizeSliced: _resize,
    monai_transforms.RandScaleCropd: _crop,
    monai_transforms.RandFlipd: _flip,
    monai_transforms.RandAffined: _affine,
    monai_transforms.RandShiftIntensityd: _shift,
    monai_transforms.RandScaleIntensityd: _scale,
    monai_transforms.RandAdjustContrastd: _gamma,
    monai_transforms.RandGaussianNoised: _noise,
    monai_transforms.RandBiasFieldd: _bias_field,
    monai_transforms.RandGaussianSmoothd: _blur,
    monai_transforms.NormalizeIntensityd: _standardize,
    monai_transforms.RepeatChanneld: _repeat,
}


def _of(transform: Any) -> Any:
    """The transform of arrays inside a ResizeSliced."""
    return transform.resize


def _tuple(value: Any) -> tuple[Any, ...]:
    return (value,) if isinstance(value, int) else tuple(value)


def _pair(value: float | Sequence[float]) -> Range:
    first, second = (value, value) if isinstance(value, int | float) else value
    return float(first), float(second)


def _ranges(values: Sequence[Any]) -> list[Range]:
    """MONAI's ranges, each a pair or one number for both sides of 0; those that are None are no ranges."""
    found = []
    for value in values:
        if isinstance(value, int | float):
            found.append((-float(value), float(value)))
        elif value is not None:
            found.append(_pair(value))
    return found


def _two(ranges: Sequence[Range], default: Range) -> tuple[Range, Range]:
    first, second, *_ = [*ranges, default, default]
    return first, second

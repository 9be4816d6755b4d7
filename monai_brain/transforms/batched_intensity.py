"""Changes of grey levels of whole batches, equal to MONAI's of single images."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch.nn.functional import conv2d

from monai_brain.transforms.batched_steps import BatchedStep, Draws, changed, chosen, counts, uniform

_SMALL = 1e-7
Range = tuple[float, float]


class BatchedShift(BatchedStep):
    """RandShiftIntensityd: one number added to each image."""

    def __init__(self, probability: float, offsets: Range) -> None:
        self.probability, self.offsets = probability, offsets

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        """The numbers."""
        return {
            "on": chosen(self.probability, count, generator),
            "offset": uniform(*self.offsets, count, generator),
        }

    def apply(self, images: torch.Tensor, draws: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The images, brighter or darker."""
        return changed(images, draws, lambda some, drawn: some + _each(drawn["offset"]))


class BatchedScale(BatchedStep):
    """RandScaleIntensityd: each image times one number."""

    def __init__(self, probability: float, factors: Range) -> None:
        self.probability, self.factors = probability, factors

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        """The numbers, less 1."""
        return {
            "on": chosen(self.probability, count, generator),
            "factor": uniform(*self.factors, count, generator),
        }

    def apply(self, images: torch.Tensor, draws: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The images, of more or less contrast."""
        return changed(images, draws, lambda some, drawn: some * (1 + _each(drawn["factor"])))


class BatchedGamma(BatchedStep):
    """RandAdjustContrastd: each image's grey levels bent between its least and its greatest."""

    def __init__(self, probability: float, gamma: Range) -> None:
        self.probability, self.gamma = probability, gamma

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        """The exponents."""
        return {
            "on": chosen(self.probability, count, generator),
            "gamma": uniform(*self.gamma, count, generator),
        }

    def apply(self, images: torch.Tensor, draws: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The images, bent."""
        return changed(images, draws, self._bent)

    @staticmethod
    def _bent(images: torch.Tensor, draws: Mapping[str, torch.Tensor]) -> torch.Tensor:
        least = images.amin(dim=(1, 2, 3), keepdim=True)
        span = images.amax(dim=(1, 2, 3), keepdim=True) - least
        return ((images - least) / (span + _SMALL)) ** _each(draws["gamma"]) * span + least


class BatchedNoise(BatchedStep):
    """RandGaussianNoised: independent noise, its strength drawn for each image."""

    def __init__(self, probability: float, mean: float, deviation: Range) -> None:
        self.probability, self.mean, self.deviation = probability, mean, deviation

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        """The strengths; the noise itself is drawn for those images alone that are to have any."""
        return {
            "on": chosen(self.probability, count, generator),
            "deviation": uniform(*self.deviation, count, generator),
        }

    def apply(self, images: torch.Tensor, draws: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The images, noisy; `draws["noise"]` is standard normal, of the images' shape."""
        return changed(images, draws, self._noisy)

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """The images, noisy at random."""
        draws = self.draw(len(images), generator)
        if counts(images):
            rows = draws["on"].nonzero()[:, 0]
            some = torch.randn((len(rows), *images.shape[1:]), generator=generator, dtype=images.dtype)
            noise = torch.zeros_like(images).index_copy(0, rows, some)
        else:
            noise = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
        return self.apply(images, {**draws, "noise": noise})

    def _noisy(self, images: torch.Tensor, draws: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return images + self.mean + draws["noise"] * _each(draws["deviation"])


class BatchedBiasField(BatchedStep):
    """RandBiasFieldd: each image times the exponential of a smooth field, as a coil's sensitivity gives."""

    def __init__(self, probability: float, degree: int, coefficients: Range) -> None:
        self.probability, self.degree, self.coefficients = probability, degree, coefficients

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        """The coefficients of the Legendre polynomials, in MONAI's order."""
        terms = (self.degree + 1) * (self.degree + 2) // 2
        return {
            "on": chosen(self.probability, count, generator),
            "coefficients": uniform(*self.coefficients, (count, terms), generator),
        }

    def apply(self, images: torch.Tensor, draws: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The images, under their fields."""
        return changed(images, draws, self._under_field)

    def _under_field(self, images: torch.Tensor, draws: Mapping[str, torch.Tensor]) -> torch.Tensor:
        count, _, height, width = images.shape
        order = self.degree + 1
        matrix = images.new_zeros(count, order, order)
        rows, columns = torch.tril_indices(order, order, device=images.device)
        matrix[:, rows, columns] = draws["coefficients"].to(images)
        field = torch.einsum(
            "bij,ih,jw->bhw", matrix, self._basis(images, height), self._basis(images, width)
        )
        return images * field.exp()[:, None]

    def _basis(self, images: torch.Tensor, length: int) -> torch.Tensor:
        """The Legendre polynomials from -1 to 1, (degree + 1, length)."""
        x = torch.linspace(-1, 1, length, device=images.device, dtype=images.dtype)
        found = [torch.ones_like(x), x]
        for n in range(1, self.degree):
            found.append(((2 * n + 1) * x * found[n] - n * found[n - 1]) / (n + 1))
        return torch.stack(found[: self.degree + 1])


class BatchedBlur(BatchedStep):
    """RandGaussianSmoothd: each image under a Gaussian, its widths drawn for rows and columns."""

    TRUNCATED = 4.0

    def __init__(self, probability: float, rows: Range, columns: Range) -> None:
        self.probability, self.ranges = probability, (rows, columns)

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        """The standard deviations in pixels, for rows and columns."""
        return {
            "on": chosen(self.probability, count, generator),
            "sigma": torch.stack([uniform(*span, count, generator) for span in self.ranges], dim=1),
        }

    def apply(self, images: torch.Tensor, draws: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The images, blurred."""
        return changed(images, draws, self._blurred)

    def _blurred(self, images: torch.Tensor, draws: Mapping[str, torch.Tensor]) -> torch.Tensor:
        count, channels, height, width = images.shape
        flat = images.reshape(1, count * channels, height, width)
        for axis, (_, widest) in enumerate(self.ranges):
            kernel = self._kernel(draws["sigma"][:, axis].to(images), self._tail(widest))
            kernel = kernel.repeat_interleave(channels, dim=0)
            shape = (count * channels, 1, -1, 1) if axis == 0 else (count * channels, 1, 1, -1)
            padding = (kernel.shape[1] // 2, 0) if axis == 0 else (0, kernel.shape[1] // 2)
            flat = conv2d(flat, kernel.reshape(shape), padding=padding, groups=count * channels)
        return flat.reshape(images.shape)

    def _tail(self, sigma: float) -> int:
        return int(max(sigma * self.TRUNCATED, 0.5) + 0.5)

    def _kernel(self, sigma: torch.Tensor, tail: int) -> torch.Tensor:
        """One kernel a row, each cut off where its own sigma says, (B, 2 tail + 1)."""
        x = torch.arange(-tail, tail + 1, device=sigma.device, dtype=sigma.dtype)
        scale = math.sqrt(0.5) / sigma.abs()[:, None]
        kernel = 0.5 * ((scale * (x + 0.5)).erf() - (scale * (x - 0.5)).erf())
        own = ((sigma * self.TRUNCATED).clamp_min(0.5) + 0.5).floor()[:, None]
        return kernel.clamp_min(0) * (x.abs() <= own)


class BatchedStandardize(BatchedStep):
    """NormalizeIntensityd: each image with mean 0 and deviation 1; a constant image becomes 0.

    Args:
        by_channel: Each channel by itself.
    """

    def __init__(self, by_channel: bool = False) -> None:
        self.dims = (2, 3) if by_channel else (1, 2, 3)

    def apply(self, images: torch.Tensor, draws: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The images, standardised."""
        mean = images.mean(dim=self.dims, keepdim=True)
        deviation = images.std(dim=self.dims, keepdim=True, unbiased=False)
        return (images - mean) / torch.where(deviation == 0, torch.ones_like(deviation), deviation)


class BatchedRepeat(BatchedStep):
    """RepeatChanneld: each channel so many times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def apply(self, images: torch.Tensor, draws: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The images with more channels."""
        return images if self.times == 1 else images.repeat_interleave(self.times, dim=1)


def _each(values: torch.Tensor) -> torch.Tensor:
    """One number an image, to be used with (B, C, H, W)."""
    return values[:, None, None, None]

"""What the checks look at: a model's network, built once, and small inputs that suit it."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from monai_brain import recipe
from monai_brain.bundles import Bundle
from monai_brain.errors import MissingExtraError, MonaiBrainError
from monai_brain.files import read_json
from monai_brain.inference import weights
from monai_brain.testing.outcome import CheckFailed

SMALLEST_IMAGE = 64
BATCH = 4


def image_size(bundle: Bundle) -> int:
    """The edge of the images where the size does not matter: small, so that checks are quick."""
    return min(int(bundle.facts.get("smallest_image", SMALLEST_IMAGE)), *bundle.input_shape[1:])


def network(bundle: Bundle, seed: int = 0, **overrides: Any) -> nn.Module:
    """The model's network in evaluation mode with random weights from the seed, a copy for each caller.

    It is built for small images, unless `image_size` says otherwise.

    Raises:
        CheckFailed: It cannot be built.
        MissingExtraError: It needs a package that is not installed.
    """
    if "image_size" in read_json(bundle.config("inference")):
        overrides = {"image_size": image_size(bundle), **overrides}
    return copy.deepcopy(_built(bundle.root, _stamp(bundle), seed, tuple(sorted(overrides.items()))))


@functools.lru_cache(maxsize=4)
def _built(root: Path, stamp: object, seed: int, overrides: tuple[tuple[str, Any], ...]) -> nn.Module:
    options = ", ".join(f"{key}={value}" for key, value in overrides)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return weights.network(Bundle.at(root), **dict(overrides))
        except Exception as error:
            cause = recipe.failure(error) or error
            if isinstance(cause, MissingExtraError):
                raise cause from error
            reason = str(cause) if isinstance(cause, MonaiBrainError) else f"{type(cause).__name__}: {cause}"
            raise CheckFailed(
                f"The network cannot be built with {options}: {' '.join(reason.split())} Mend network_def "
                "in configs/inference.json, or the class that it names."
            ) from error


def _stamp(bundle: Bundle) -> object:
    """Something that changes when a config does."""
    return tuple((path.name, path.stat().st_mtime_ns) for path in sorted((bundle.root / "configs").iterdir()))


def settled(network: nn.Module, batch: torch.Tensor) -> nn.Module:
    """The network in evaluation mode with running statistics of its own, as after a training."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network.train()
        for _ in range(3):
            network(batch)
    return network.eval()


def images(
    bundle: Bundle, count: int = BATCH, channels: int | None = None, size: int | None = None
) -> torch.Tensor:
    """Smooth random images that differ from one another, (B, C, H, W)."""
    edge = size or image_size(bundle)
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(count, channels or bundle.input_shape[0], 4, 4, generator=generator)
    return functional.interpolate(coarse, (edge, edge), mode="bicubic", align_corners=False)


def answer(network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """The network's output for a batch, without gradients.

    Raises:
        CheckFailed: The network cannot take the batch, or gives something other than one tensor.
    """
    shape = " x ".join(map(str, batch.shape))
    try:
        with torch.inference_mode():
            output = network(batch)
    except MissingExtraError:
        raise
    except Exception as error:
        raise CheckFailed(
            f"The network does not take images {shape}: {type(error).__name__}: "
            f"{' '.join(str(error).split())}. Mend its forward, or say in the metadata what it takes: "
            "network_data_format#inputs#image, and monai_brain#smallest_image."
        ) from error
    if not isinstance(output, torch.Tensor):
        raise CheckFailed(
            f"The network gives {type(output).__name__} for images {shape}. Let forward return the logits "
            "(B, classes) alone."
        )
    return output


def differ(one: torch.Tensor, other: torch.Tensor, tolerance: float) -> bool:
    """Whether two outputs differ by more than the tolerance times the greatest logit, or 1."""
    scale = max(1.0, float(one.abs().max()), float(other.abs().max()))
    return not torch.allclose(one, other, rtol=0, atol=tolerance * scale)


def recipes(bundle: Bundle) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each recipe's file name and content: all of configs/*.json but the metadata."""
    for path in sorted((bundle.root / "configs").glob("*.json")):
        if path.name != "metadata.json":
            yield path.name, read_json(path)


def walk(content: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every id below a piece of a recipe, with what stands there."""
    pairs = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for key, value in pairs:
        name = f"{above}#{key}" if above else str(key)
        yield name, value
        yield from walk(value, name)

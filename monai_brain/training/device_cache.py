"""The images of a training as they are before anything random, in one block on the device."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ignite.distributed as idist
import torch
from monai.data import MetaTensor
from tqdm import tqdm

from monai_brain.transforms.batched_steps import NoBatchedVersionError

_GIGA = 1e9
_LOOKED_AT = 8
THREADS = 8
SHARE_OF_GPU, SHARE_OF_MEMORY = 0.3, 0.25


class DoesNotFitError(NoBatchedVersionError):
    """The images are more than the device has room for."""


class DeviceCache:
    """Every image once, (N, C, H, W), on a device, with what else its item holds.

    The block has the smallest type that gives every value back exactly: uint8 where all are whole
    numbers from 0 to 255, else float16 or float32.

    Args:
        items: What is read; an item that stands there twice is kept once.
        prepare: Everything that is not random, from an item to its image (C, H, W) and the rest.
        device: Where the block goes.
        limit: Bytes that it may take; None for 0.3 of a GPU's free memory, or 0.25 of the
            machine's.

    Raises:
        NoBatchedVersionError: The images have more than one shape, or do not fit.
        MonaiBrainError: An image cannot be read.
    """

    def __init__(
        self, items: Sequence[Any], prepare: Any, device: torch.device, limit: int | None = None
    ) -> None:
        first: dict[int, int] = {}
        slots = [first.setdefault(id(item), len(first)) for item in items]
        unique = list({id(item): item for item in items}.values())
        self.slots = torch.tensor(slots, dtype=torch.long)
        with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
            head = list(pool.map(lambda item: _image_and_rest(prepare(item)), unique[:_LOOKED_AT]))
            room = room_on(device) if limit is None else limit
            _must_fit(len(unique), head, room)
            tail = pool.map(lambda item: _image_and_rest(prepare(item)), unique[_LOOKED_AT:])
            found = [*head, *_shown(tail, len(unique) - len(head))]
        shapes = {tuple(image.shape) for image, _ in found}
        if len(shapes) > 1:
            raise NoBatchedVersionError(f"the images have {len(shapes)} shapes before anything random")
        kind = _must_fit(len(unique), found, room)
        self.rest: list[dict[str, Any]] = [rest for _, rest in found]
        try:
            self.images = torch.empty((len(found), *found[0][0].shape), dtype=kind, device=device)
        except torch.cuda.OutOfMemoryError:
            raise DoesNotFitError(f"{len(found)} images are more than the GPU has room for") from None
        for row, (image, _) in enumerate(found):
            self.images[row] = image.to(device=device, dtype=kind)

    def __len__(self) -> int:
        return len(self.slots)

    def gather(self, indices: Sequence[int]) -> tuple[torch.Tensor, list[dict[str, Any]]]:
        """The images of these items as float32 (B, C, H, W) on the device, and the rest of the items."""
        slots = self.slots[list(indices)]
        images = self.images.index_select(0, slots.to(self.images.device, non_blocking=True))
        return images.float(), [self.rest[slot] for slot in slots.tolist()]

    def told(self) -> str:
        """What is kept where, in a few words."""
        count, *shape = self.images.shape
        size = self.images.numel() * self.images.element_size()
        kind = str(self.images.dtype).removeprefix("torch.")
        form = "x".join(map(str, shape))
        return f"{count} images of {form} as {kind}, {size / _GIGA:.2f} GB, on {self.images.device}"


def room_on(device: torch.device) -> int:
    """Bytes that a cache may take on a device without getting in the way of the training."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * SHARE_OF_GPU)
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on every system
        free = 4 * 2**30
    return int(free * SHARE_OF_MEMORY)


def _image_and_rest(item: Mapping[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
    """An item's image in the smallest exact type, and what else the item holds."""
    image = item["image"]
    image = image.as_tensor() if isinstance(image, MetaTensor) else torch.as_tensor(image)
    image = image.detach().cpu()
    return image.to(_exact(image)), {key: value for key, value in item.items() if key != "image"}


def _exact(image: torch.Tensor) -> torch.dtype:
    """The smallest type that holds every value of an image as it is.

    Raises:
        NoBatchedVersionError: It needs more than single precision.
    """
    for kind in (torch.uint8, torch.float16, torch.float32):
        small = image.clamp(0, 255).to(kind) if kind is torch.uint8 else image.to(kind)
        if torch.equal(small.to(image.dtype), image):
            return kind
    raise NoBatchedVersionError("the images are not finite, or finer than single precision")


def _must_fit(count: int, found: Sequence[tuple[torch.Tensor, Any]], room: int) -> torch.dtype:
    """The smallest type that holds all these images exactly, if so many of that type fit."""
    kinds = {image.dtype for image, _ in found}
    kind = next((kind for kind in (torch.float32, torch.float16) if kind in kinds), torch.uint8)
    size = count * found[0][0].numel() * kind.itemsize
    if size > room:
        raise DoesNotFitError(
            f"{count} images take {size / _GIGA:.2f} GB and there is room for {room / _GIGA:.2f} GB "
            "(device_cache_gb)"
        )
    return kind


def _shown(found: Iterable[Any], total: int) -> Iterable[Any]:
    """The same, with a bar on the terminal of the first process."""
    hidden = True if idist.get_rank() else None
    return tqdm(found, total=total, desc="read", unit="image", file=sys.stderr, disable=hidden, leave=False)

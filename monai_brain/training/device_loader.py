"""The batches of a training: augmented whole on the device where they can be, else by MONAI one by one."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from monai.data import CacheDataset, Dataset, list_data_collate, worker_init_fn
from monai.transforms import Compose, RandomizableTrait, Transform
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    Sampler,
    SequentialSampler,
    default_collate,
)

from monai_brain.errors import ConfigurationError
from monai_brain.training.device_cache import DeviceCache
from monai_brain.transforms.batched import BatchedTransforms, batched
from monai_brain.transforms.batched_steps import NoBatchedVersionError

_LOG = logging.getLogger(__name__)


class DeviceLoader:
    """A loader over an ordinary dataset, whose items and transforms stay where MONAI looks for them.

    What comes before the first random transform is done once for each item, by threads, and kept on the
    device; what comes after it is done to whole batches there. Where a transform has no batched version,
    or the images do not fit, MONAI's CacheDataset and DataLoader do all of it, and one line of the log
    says why.

    The dataset is read when an epoch begins: other data put there in the meantime are trained on.

    All numbers follow torch's global seed at the epoch's beginning, and those of a batch follow its
    place in the epoch.

    Args:
        dataset: Items under `data`, a Compose under `transform`.
        batch_size: Images in a batch.
        device: Where the batches are made.
        shuffle: A new order each epoch.
        sampler: An order of another kind, in place of `shuffle`: a share for this process, or classes
            by weight.
        drop_last: Leave out what does not fill a batch.
        device_cache: "auto", true (or refuse to train) or false.
        device_cache_gb: Most gigabytes on the device; None for 0.3 of what is free on a GPU, 0.25 of
            what is free of the machine's memory.
        num_workers: Of MONAI's loader.
        cache_rate: Share of the items that MONAI's CacheDataset keeps.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        device: str | torch.device = "cpu",
        shuffle: bool = False,
        sampler: Sampler[int] | Iterable[int] | None = None,
        drop_last: bool = False,
        device_cache: str | bool = "auto",
        device_cache_gb: float | None = None,
        num_workers: int = 0,
        cache_rate: float = 1.0,
    ) -> None:
        if device_cache not in ("auto", True, False):
            raise ConfigurationError(f"device_cache is {device_cache!r}, but takes auto, true or false.")
        if sampler is not None and shuffle:
            raise ConfigurationError("A loader takes a sampler or shuffle=true, not both.")
        self.dataset, self.batch_size, self.device = dataset, int(batch_size), torch.device(device)
        self.sampler: Any = sampler
        if sampler is None:
            self.sampler = RandomSampler(dataset) if shuffle else SequentialSampler(dataset)
        self.drop_last, self.num_workers, self.cache_rate = (
            bool(drop_last),
            int(num_workers),
            float(cache_rate),
        )
        self.device_cache = device_cache
        self.limit = None if device_cache_gb is None else int(float(device_cache_gb) * 1e9)
        self._batches = BatchSampler(self.sampler, self.batch_size, self.drop_last)
        self._data: Any = None  # what the cache, or MONAI's loader, was made of
        self._cache: DeviceCache | None = None
        self._augment: BatchedTransforms | None = None
        self._monai: DataLoader[Any] | None = None

    def __len__(self) -> int:
        return len(self._batches)

    @property
    def cache(self) -> DeviceCache | None:
        """The images on the device; None where MONAI's loader does the work, or nothing has begun."""
        return self._cache

    def prepare(self) -> None:
        """Read the images, unless that is done; an epoch's beginning does so too.

        Raises:
            ConfigurationError: device_cache is true, and cannot be.
            MonaiBrainError: An image cannot be read.
        """
        data = self.dataset.data
        if self._data is data and (self._cache is not None or self._monai is not None):
            return
        self._data, self._cache, self._augment, self._monai = data, None, None, None
        reason = "device_cache is false"
        if self.device_cache and len(data):
            try:
                self._keep(data)
                return
            except NoBatchedVersionError as error:
                if self.device_cache is True:
                    raise ConfigurationError(
                        f"device_cache cannot be true: {error}. Set it to auto."
                    ) from None
                reason = str(error)
        self._monai = self._by_monai(data)
        _LOG.info("%d images prepared one by one by MONAI's loader: %s", len(data), reason)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The batches of one epoch: image (B, C, H, W), label (B,), and what else the items hold."""
        self.prepare()
        if self._cache is None or self._augment is None:
            yield from self._monai or ()
            return
        # As torch's own loaders do: one draw from the global stream, which the epoch's seed began.
        seed = int(torch.empty((), dtype=torch.int64).random_().item())
        generator = torch.Generator(self.device)
        for number, indices in enumerate(self._batches):
            images, rest = self._cache.gather(indices)
            generator.manual_seed((seed + number) % 2**63)
            with torch.no_grad():
                images = self._augment(images, generator)
            yield {"image": images, **self._collated(rest)}

    def _keep(self, data: Sequence[Any]) -> None:
        fixed, random = parts(self.dataset.transform)
        compose = Compose(fixed)

        def prepare(item: Any) -> Any:
            return compose(item, threading=True)

        # One image shows whether all transforms have batched versions, before all are read.
        augment = batched(random, _shape(prepare(data[0])))
        self._cache = DeviceCache(data, prepare, self.device, self.limit)
        self._augment = augment
        _LOG.info("%s, augmented in whole batches", self._cache.told())

    def _by_monai(self, data: Sequence[Any]) -> DataLoader[Any]:
        transform = self.dataset.transform
        dataset = self.dataset
        if type(dataset) is Dataset and isinstance(transform, Compose) and self.cache_rate:
            dataset = CacheDataset(
                data, transform, cache_rate=self.cache_rate, progress=False, hash_as_key=_repeated(data)
            )
        # What MONAI's DataLoader is, but that it seeds the transforms when it is made: here the epoch has.
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=self.sampler,
            drop_last=self.drop_last,
            num_workers=self.num_workers,
            pin_memory=self.device.type == "cuda",
            collate_fn=list_data_collate,
            worker_init_fn=worker_init_fn,
        )

    def _collated(self, rest: Sequence[dict[str, Any]]) -> dict[str, Any]:
        together = default_collate(list(rest))
        return {
            key: value.to(self.device, non_blocking=True) if isinstance(value, torch.Tensor) else value
            for key, value in together.items()
        }


def parts(transform: Any) -> tuple[list[Any], list[Any]]:
    """The transforms before the first random one, and the rest: as MONAI's CacheDataset parts them.

    Raises:
        NoBatchedVersionError: It is no Compose that can be taken apart.
    """
    if not isinstance(transform, Compose) or type(transform) is not Compose:
        raise NoBatchedVersionError(f"the dataset's transform is {type(transform).__name__}, no Compose")
    if transform.lazy:
        raise NoBatchedVersionError("the dataset's transform is lazy")
    steps = list(_flat(transform))
    for index, step in enumerate(steps):
        if isinstance(step, RandomizableTrait) or not isinstance(step, Transform):
            return steps[:index], steps[index:]
    return steps, []


def _flat(transform: Compose) -> Iterator[Any]:
    """What a Compose and those within it hold; Compose.flatten would seed them anew."""
    for step in transform.transforms:
        if type(step) is Compose:
            yield from _flat(step)
        else:
            yield step


def _shape(item: Any) -> tuple[int, int, int]:
    shape = tuple(int(length) for length in item["image"].shape)
    if len(shape) != 3:
        raise NoBatchedVersionError(f"the images have the shape {shape}, not (C, H, W)")
    return shape[0], shape[1], shape[2]


def _repeated(data: Sequence[Any]) -> bool:
    """Whether an item stands there more than once, to be augmented in more than one way."""
    return len({id(item) for item in data}) < len(data)

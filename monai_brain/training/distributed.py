"""One training over several processes, started by torchrun: what the overlay multi_gpu_train.json names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from torch.distributed import PrefixStore  # type: ignore[attr-defined]  # public, but not listed
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset, DistributedSampler

from monai_brain.errors import ConfigurationError


def join() -> torch.device:
    """The device of this process, after it has met the others: one GPU each by NCCL, else the CPU by gloo.

    Raises:
        ConfigurationError: The process was not started by torchrun.
    """
    if "LOCAL_RANK" not in os.environ:
        raise ConfigurationError(
            "multi_gpu_train.json needs torchrun: "
            "torchrun --standalone --nproc_per_node=2 -m monai.bundle run --config_file ..."
        )
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    if not torch.distributed.is_initialized():
        _meet("nccl" if device.type == "cuda" else "gloo")
        idist.get_rank()  # Ignite takes over what torch has begun
    return device


def _meet(backend: str) -> None:
    # torchrun's store outlives a restart, and with it the addresses of the processes that died: each start
    # needs names of its own there, or a process waits for one that is gone.
    store, rank, size = next(rendezvous("env://"))
    start = f"start_{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    torch.distributed.init_process_group(backend, store=PrefixStore(start, store), rank=rank, world_size=size)


def restarted(run_dir: str | os.PathLike[str]) -> bool:
    """Whether torchrun has begun the processes anew after one of them died: the run then goes on."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0" and Path(run_dir).is_dir()


def with_shared_statistics(network: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """The network on its device, its BatchNorms counting over all GPUs; on a CPU they stay plain."""
    if device.type == "cuda":
        network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return network.to(device)


def replica(network: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """The network with gradients averaged over the processes.

    Only the trainer sees it: validation, checkpoints and predictions use the network inside, so that
    nothing of theirs, the keys of the state_dict least of all, knows of the processes.
    """
    return DistributedDataParallel(network, device_ids=[device.index] if device.type == "cuda" else None)


def sampler(dataset: Dataset[Any] | Sequence[Any], seed: int) -> DistributedSampler[Any]:
    """Each epoch a new share of the training images for this process."""
    return DistributedSampler(dataset, seed=seed, shuffle=True, drop_last=False)  # type: ignore[arg-type]


def leave() -> None:
    """Part from the other processes."""
    if torch.distributed.is_initialized():
        idist.finalize()


class ShareBuffers:
    """Give every process rank 0's buffers at the end of an epoch, before anything validates or saves."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.network = network

    def attach(self, engine: Engine) -> None:
        """Share after each epoch; attach before ValidationHandler."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Share now."""
        for buffer in self.network.buffers():
            torch.distributed.broadcast(buffer, src=0)

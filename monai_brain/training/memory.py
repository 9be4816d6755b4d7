"""One iteration of a training that ends with advice where the GPU's memory ends."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import ignite.distributed as idist
import torch
from monai.engines import SupervisedTrainer

from monai_brain.errors import ConfigurationError


class OutOfGpuMemoryError(ConfigurationError):
    """A batch of a training is more than the GPU has room for."""


def iteration(engine: SupervisedTrainer, batch: Mapping[str, Any]) -> Any:
    """MONAI's own iteration; out of memory, the batch that would have fitted is found and named.

    Raises:
        OutOfGpuMemoryError: There was no room for the batch.
    """
    try:
        return engine._iteration(engine, batch)
    except torch.cuda.OutOfMemoryError:
        pass  # what the failed pass holds is let go with the exception, so the search comes after it
    raise OutOfGpuMemoryError(_advice(engine, batch))


def _advice(engine: SupervisedTrainer, batch: Mapping[str, Any]) -> str:
    size = len(batch["image"])
    engine.state.output = None
    fits = size // 2 if idist.get_world_size() > 1 else _largest(engine, batch, size)
    told = f"The GPU ran out of memory with batch_size={size}"
    if fits < 2:
        return f"{told}, and has no room for a batch of 2 either. Lower image_size, or try amp=true."
    accumulate = math.ceil(size / fits) * int(getattr(engine, "accumulation_steps", 1))
    return (
        f"{told}. A batch of {fits} fits: --set batch_size={fits} --set accumulate={accumulate} trains with "
        "the same effective batch."
    )


def _largest(engine: SupervisedTrainer, batch: Mapping[str, Any], size: int) -> int:
    """The greatest half, quarter, ... of the batch that goes forward and backward; 0 if none of 2 or more."""
    fits = size // 2
    while fits >= 2:
        engine.optimizer.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        if _goes(engine, {key: value[:fits] for key, value in batch.items()}):
            break
        fits //= 2
    engine.optimizer.zero_grad(set_to_none=True)
    return fits if fits >= 2 else 0


def _goes(engine: SupervisedTrainer, batch: Mapping[str, Any]) -> bool:
    try:
        images, labels, *_ = engine.prepare_batch(
            batch, engine.state.device, engine.non_blocking, **engine.to_kwargs
        )
        engine.loss_function(engine.inferer(images, engine.network), labels).mean().backward()
    except torch.cuda.OutOfMemoryError:
        return False
    return True

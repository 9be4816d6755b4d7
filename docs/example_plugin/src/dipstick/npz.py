"""The weights as numpy arrays."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from monai_brain.inference.export import Exportable


def to_npz(job: Exportable, path: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    """Write the weights, and give a function that answers with what was written.

    monai_brain holds that function against the network before the file takes its name.
    """
    with path.open("wb") as stream:
        np.savez(stream, **{name: value.numpy() for name, value in job.network.state_dict().items()})

    def answer(images: torch.Tensor) -> torch.Tensor:
        with np.load(path, allow_pickle=False) as kept:
            state = {name: torch.from_numpy(np.asarray(kept[name])) for name in kept.files}
        network = copy.deepcopy(job.network)
        network.load_state_dict(state)
        with torch.inference_mode():
            return network(images)

    return answer

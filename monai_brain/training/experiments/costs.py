"""What each contestant of an experiment costs: size, operations, and the time of one image, side by side."""

from __future__ import annotations

import time
from typing import Any

import torch

from monai_brain.bundles import Bundle
from monai_brain.inference import weights as network_weights
from monai_brain.inference.cost import cost
from monai_brain.training.experiments.folder import Experiment

_RUNS, _WARM_UP = 15, 3


def of(experiment: Experiment) -> dict[str, dict[str, Any]]:
    """Parameters, GFLOPs and milliseconds of one image by contestant, all measured here and now."""
    found: dict[str, dict[str, Any]] = {}
    for job in experiment.folds:
        if job.contestant not in found:
            found[job.contestant] = _measured(Bundle.at(experiment.run(job)))
    return found


def _measured(bundle: Bundle) -> dict[str, Any]:
    network = network_weights.network(bundle)
    size = cost(network, bundle.input_shape)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return {
        "parameters_millions": size.parameters / 1e6,
        "gflops": size.flops / 1e9,
        "latency_ms": 1000 * _seconds(network.to(device), bundle.input_shape, device),
        "input": list(bundle.input_shape),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
    }


def _seconds(network: torch.nn.Module, shape: tuple[int, int, int], device: torch.device) -> float:
    """The median time of a batch of one image in evaluation mode, without reading or preprocessing it."""
    image = torch.zeros(1, *shape, device=device)
    times = []
    with torch.inference_mode():
        for _ in range(_WARM_UP + _RUNS):
            began = time.perf_counter()
            network(image)
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - began)
    return sorted(times[_WARM_UP:])[_RUNS // 2]

"""The forms that PyTorch reads: a flat state_dict, TorchScript, and an exported program."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import nn

from monai_brain.errors import ModelError
from monai_brain.inference import weights
from monai_brain.inference.configs import INFERENCE
from monai_brain.inference.export import Exportable, Run


def to_state_dict(job: Exportable, path: Path) -> Run:
    """model.pt: the flat state_dict, unfused, that MONAI's loaders and `--weights` take."""
    weights.save(job.network, path)

    def run(images: torch.Tensor) -> torch.Tensor:
        return _answer(_filled(job.network, path), images)

    return run


def to_torchscript(job: Exportable, path: Path) -> Run:
    """model.ts: TorchScript with metadata.json and inference.json inside, as MONAI Deploy reads it.

    A network that cannot be scripted is traced; that it runs any batch all the same is checked after.

    Raises:
        ModelError: This Python has no TorchScript, or the network can be neither scripted nor traced.
    """
    from monai.data.torchscript_utils import save_net_with_metadata

    with path.open("wb") as stream:
        save_net_with_metadata(
            _scripted(job),
            stream,
            include_config_vals=False,
            meta_values=job.metadata,
            more_extra_files={INFERENCE: job.embedded[INFERENCE].encode()},
        )

    def run(images: torch.Tensor) -> torch.Tensor:
        return _answer(torch.jit.load(path, map_location="cpu"), images)

    return run


def to_pt2(job: Exportable, path: Path) -> Run:
    """model.pt2: an exported program for any batch, with metadata.json and inference.json inside."""
    batch = torch.export.Dim("batch")
    program = torch.export.export(job.fused, (job.images(2),), dynamic_shapes=({0: batch},))
    with path.open("wb") as stream:
        torch.export.save(program, stream, extra_files=job.embedded)

    def run(images: torch.Tensor) -> torch.Tensor:
        with path.open("rb") as stream:
            return _answer(torch.export.load(stream).module(), images)

    return run


def _scripted(job: Exportable) -> torch.jit.ScriptModule:
    try:
        scripted = torch.jit.script(job.fused)
        with torch.inference_mode():
            if not isinstance(scripted(job.images(2)), torch.Tensor):
                raise TypeError("scripted, it gives no tensor")  # torchvision's GoogLeNet
        return scripted
    except Exception as error:  # noqa: BLE001  scripting stops at any Python that it does not know
        try:
            traced = torch.jit.trace(job.fused, job.images(2), check_trace=False)
        except Exception:  # noqa: BLE001  tracing runs the network's own code
            reason = str(error).strip().partition("\n")[0]
            raise ModelError(
                f"{job.bundle.name} cannot become TorchScript: {reason}. Export it as pt2 or onnx."
            ) from error
        return traced


def _filled(network: nn.Module, path: Path) -> nn.Module:
    fresh = copy.deepcopy(network)
    fresh.load_state_dict(weights.read(path))
    return fresh


def _answer(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = network(images)
    return found

"""How fast the networks run.

Convolutions in single precision run at the processor's peak in both engines once nothing else does, and the
improved ResNet34 has 1.03 times the operations of the plain one: there the two come out near 1, whatever is
folded. A larger ratio shows how torch's threads wait for one another on a machine that is shared.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.harness import Contest, Way, benchmark

THREADS, BATCH, PIXELS = 2, 16, 224
FEATURES, OUTPUTS, HEAD_BATCH = 512, 64, 64


@benchmark("resnet34_onnx", "fp32 inference of 16 images of 224 pixels, per image, two threads")
def resnet34_onnx() -> Iterator[Contest]:
    import monai_brain as mb

    random = np.random.default_rng(0)
    grey = random.normal(size=(BATCH, 1, PIXELS, PIXELS)).astype(np.float32)
    colour = random.normal(size=(BATCH, 3, PIXELS, PIXELS)).astype(np.float32)
    improved = _channels_last(mb.network("brain_tumor_resnet34").fuse())
    plain = _channels_last(mb.network("baseline", variant="resnet34"))  # torchvision's own
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.onnx" for name in ("brain_tumor_resnet34", "baseline")}
        for name, path in files.items():
            mb.export(name, "onnx", path, weights="random")
        sessions = {name: _session(path) for name, path in files.items()}
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield Contest(
        Way(
            "improved ResNet34, grey, fused, ONNX Runtime",
            lambda: sessions["brain_tumor_resnet34"].run(None, {"image": grey}),
            BATCH,
        ),
        (
            Way("torchvision ResNet34, eager, channels last", lambda: _eager(plain, colour), BATCH, 1.5),
            Way(
                "torchvision ResNet34, fused, ONNX Runtime",
                lambda: sessions["baseline"].run(None, {"image": colour}),
                BATCH,
            ),
            Way("the same network, eager, channels last", lambda: _eager(improved, grey), BATCH),
        ),
    )
    torch.set_num_threads(threads)


def _channels_last(network: torch.nn.Module) -> torch.nn.Module:
    return network.eval().to(memory_format=torch.channels_last)


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])


@torch.inference_mode()
def _eager(network: torch.nn.Module, images: np.ndarray) -> None:
    network(torch.from_numpy(images).to(memory_format=torch.channels_last))


@benchmark("kan_head", "forward and backward of 512 features to 64, batch 64, one thread")
def kan_head() -> Iterator[Contest]:
    from kan.KANLayer import KANLayer
    from monai_brain_plugins.mammography_quality_parb_kan.kan_head import (
        GRID_INTERVALS,
        SPLINE_ORDER,
        SplineLayer,
    )

    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours = SplineLayer(FEATURES, OUTPUTS, num=GRID_INTERVALS, k=SPLINE_ORDER)
        theirs = KANLayer(FEATURES, OUTPUTS, num=GRID_INTERVALS, k=SPLINE_ORDER)
        x = torch.rand(HEAD_BATCH, FEATURES) * 2 - 1
    theirs.load_state_dict(ours.state_dict())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Contest(
        Way("SplineLayer", lambda: _step(ours, ours(x))),
        (Way("pykan's KANLayer", lambda: _step(theirs, theirs(x)[0]), target=3),),
    )
    torch.set_num_threads(threads)


def _step(layer: torch.nn.Module, y: torch.Tensor) -> None:
    layer.zero_grad(set_to_none=True)
    y.square().mean().backward()

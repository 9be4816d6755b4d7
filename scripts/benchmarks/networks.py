"""How fast the networks answer, in the best form that each can take, and what that form costs.

In single precision convolutions run at the processor's peak in both engines, and the improved ResNet34 has
1.03 times the operations of the plain one: there the two come out near 1, whatever is folded. A processor
with integer products (VNNI) is several times as fast in 8 bits, and one with bfloat16 products twice as fast
in those; on one that has neither, single precision under ONNX Runtime is best.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.harness import Contest, Way, benchmark, threads

THREADS, BATCH = 2, 16
RESNET, RESNET_PIXELS = "brain_tumor_resnet34", 224
B2, B2_PIXELS = "brain_tumor_efficientnet_b2", 240
IMAGES, TRAINED_PIXELS, EPOCHS = 240, 64, 5  # of the training that says what 8 bits cost


@benchmark("resnet34", "inference of 16 images of 224 pixels in 8 bits, per image, two threads")
def resnet34() -> Iterator[Contest]:
    import monai_brain as mb

    colour, grey = _images(3, RESNET_PIXELS), _images(1, RESNET_PIXELS)
    plain = _channels_last(mb.network("baseline", variant="resnet34"))  # torchvision's own
    improved = _channels_last(mb.network(RESNET).fuse())
    with tempfile.TemporaryDirectory() as folder:
        run, facts = _trained(Path(folder))
        ours = {
            form: _session(
                mb.export(run, form, Path(folder) / form, image_size=RESNET_PIXELS, **_calibration(folder))
            )
            for form in ("onnx", "int8")
        }
        theirs = {
            form: _session(
                mb.export(
                    "baseline", form, Path(folder) / f"plain {form}", weights="random", variant="resnet34",
                    **_calibration(folder),
                )
            )
            for form in ("onnx", "int8")
        }  # fmt: skip
    with threads(THREADS):
        yield Contest(
            Way(
                "improved ResNet34, int8, ONNX Runtime",
                lambda: ours["int8"].run(None, {"image": grey}), BATCH,
            ),
            (
                Way(
                    "torchvision ResNet34, int8, ONNX Runtime",
                    lambda: theirs["int8"].run(None, {"image": colour}), BATCH, 0.8,
                ),
                Way("torchvision ResNet34, eager, fp32", lambda: _eager(plain, colour), BATCH, 2.5),
                Way("torchvision ResNet34, eager, bf16", lambda: _eager(plain, colour, half=True), BATCH),
                Way(
                    "torchvision ResNet34, fp32, ONNX Runtime",
                    lambda: theirs["onnx"].run(None, {"image": colour}), BATCH,
                ),
                Way(
                    "improved ResNet34, fp32, ONNX Runtime",
                    lambda: ours["onnx"].run(None, {"image": grey}), BATCH,
                ),
                Way("improved ResNet34, eager, bf16", lambda: _eager(improved, grey, half=True), BATCH),
            ),
            facts,
        )  # fmt: skip


@benchmark("efficientnet_b2", "fp32 inference of 16 images of 240 pixels, per image, two threads")
def efficientnet_b2() -> Iterator[Contest]:
    import torchvision

    import monai_brain as mb

    images = _images(3, B2_PIXELS)
    plain = _channels_last(torchvision.models.efficientnet_b2(num_classes=3))
    ours = _channels_last(mb.network(B2))
    with tempfile.TemporaryDirectory() as folder:
        session = _session(mb.export(B2, "onnx", Path(folder) / "onnx", weights="random"))
    with threads(THREADS):
        yield Contest(
            Way("our EfficientNet-B2, ONNX Runtime", lambda: session.run(None, {"image": images}), BATCH),
            (
                Way("torchvision EfficientNet-B2, eager", lambda: _eager(plain, images), BATCH, 1.5),
                Way("our EfficientNet-B2, eager", lambda: _eager(ours, images), BATCH),
            ),
            {"accuracy": "that of the network: the export holds the two to 0.0001 of the greatest output"},
        )


def _images(channels: int, pixels: int) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.normal(size=(BATCH, channels, pixels, pixels)).astype(np.float32)


def _trained(folder: Path) -> tuple[Path, dict[str, str]]:
    """A run of the improved ResNet34 on phantoms, and what its 8 bits cost on the images held out."""
    import monai_brain as mb
    from monai_brain.data import datalist, phantoms, splits
    from monai_brain.inference.fidelity import fidelity, summary
    from monai_brain.inference.predictor import Predictor

    written = phantoms.write("brain", folder / "images", IMAGES, size=TRAINED_PIXELS)
    folds = datalist.write(splits.split(datalist.read(written), "patient", folds=3), folder / "folds.json")
    run = mb.train(
        RESNET, folds, 0, run_dir=folder / "run", image_size=TRAINED_PIXELS, max_epochs=EPOCHS, batch_size=16
    )
    path = mb.export(run, "int8", folder / "small.onnx", **_calibration(folder))
    found = fidelity(path, Predictor(run), datalist=folds)
    trained = f"trained for {EPOCHS} epochs on phantoms of {TRAINED_PIXELS} pixels; those held out: "
    return run, {"accuracy": trained + summary(found)}


def _calibration(folder: str | Path) -> dict[str, Any]:
    return {"calibration": str(Path(folder) / "images" / "images")}


def _channels_last(network: torch.nn.Module) -> torch.nn.Module:
    return network.eval().to(memory_format=torch.channels_last)


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])


@torch.inference_mode()
def _eager(network: torch.nn.Module, images: np.ndarray, half: bool = False) -> None:
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        network(torch.from_numpy(images).to(memory_format=torch.channels_last))

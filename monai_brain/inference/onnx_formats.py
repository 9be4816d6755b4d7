"""The forms that ONNX Runtime reads: ONNX in single precision, and ONNX quantised to 8 bits."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from monai_brain.errors import ConfigurationError, DataError, MissingExtraError, ModelError
from monai_brain.inference import inputs as found_inputs
from monai_brain.inference.configs import INFERENCE
from monai_brain.inference.export import BATCHES, Exportable, Run

OPSET = 18
INPUT, OUTPUT = "image", "logits"
CALIBRATION_IMAGES = 128
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def to_onnx(job: Exportable, path: Path) -> Run:
    """model.onnx: input "image" (batch, C, H, W), output "logits" (batch, classes), for any batch.

    The file carries the class names in order, the disclaimer and the bundle's JSON as its metadata.

    Raises:
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
    """
    _write(job, job.fused, path)
    return runner(path)


def _write(job: Exportable, network: nn.Module, path: Path) -> None:
    for name in _PACKAGES:
        _package(name)
    onnx = _package("onnx")
    program = torch.onnx.export(
        network,
        (job.images(2),),
        dynamo=True,
        opset_version=OPSET,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    model = program.model_proto  # type: ignore[union-attr]
    _name_batch(model)
    for node in model.graph.node:
        del node.metadata_props[:]  # stack traces, with the paths of the machine that exported
    about = {"labels": json.dumps(job.bundle.labels), "disclaimer": job.bundle.disclaimer}
    onnx.helper.set_model_props(model, {"model": job.bundle.name, **about, **job.embedded})
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, str(path))


def to_int8(job: Exportable, path: Path) -> None:
    """model.int8.onnx: weights and activations in 8 bits, their ranges measured on calibration images.

    It does not compute the same as the network: what that costs must be evaluated. That it runs for
    one image and for several and gives finite numbers is checked here.

    Raises:
        ConfigurationError: No calibration images were named. A bundle's few samples would not do.
        DataError: A calibration image cannot be read.
    """
    images = _calibration_images(job)
    plain, prepared = path.with_name("plain.onnx"), path.with_name("prepared.onnx")
    _write(job, job.for_integers, plain)
    shape_inference = _package("onnxruntime.quantization.shape_inference")
    quantization = _package("onnxruntime.quantization")
    shape_inference.quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[name-defined]
        """One batch of one image after another."""

        def __init__(self) -> None:
            self.batches: Iterator[dict[str, Any]] = ({INPUT: image[None]} for image in images)

        def get_next(self) -> dict[str, Any] | None:
            return next(self.batches, None)

    quantization.quantize_static(
        str(prepared),
        str(path),
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        # Unsigned times signed is what x86 has instructions for; signed activations ran 3.5 times as long.
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        # Processors without VNNI add two products in 16 bits, which weights of 8 bits can overflow unnoticed.
        reduce_range=True,
    )
    plain.unlink()
    prepared.unlink()
    run = runner(path)
    for count in BATCHES:
        given = run(job.images(count))
        if given.shape != (count, len(job.bundle.labels)) or not bool(torch.isfinite(given).all()):
            raise ModelError(f"{job.bundle.name}: the int8 network gives no answer for {count} images.")


def _calibration_images(job: Exportable) -> list[np.ndarray[Any, Any]]:
    """Images as the network takes them, (C, H, W), spread evenly over all that were named."""
    from monai.bundle import ConfigParser

    items = found_inputs.find(job.calibration or [])
    if not items:
        raise ConfigurationError(
            "int8 needs images to calibrate with: name some by calibration (--calibration)."
        )
    parser = ConfigParser({**job.configs[INFERENCE], "_meta_": job.metadata})
    preprocess = parser.get_parsed_content("preprocessing")
    chosen = np.unique(
        np.linspace(0, len(items) - 1, min(len(items), CALIBRATION_IMAGES)).round().astype(int)
    )
    images = []
    for index in chosen:
        try:
            image = preprocess({"image": items[index]["image"]})["image"]
        except Exception as error:  # a file from anywhere can make a decoder raise anything
            raise DataError(f"{items[index]['case']}: cannot be calibrated with: {error}") from error
        images.append(np.asarray(image, dtype=np.float32))
    return images


def _name_batch(model: Any) -> None:
    """Call the free dimension "batch" where it goes in and comes out."""
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"


def runner(path: Path) -> Run:
    """A function that runs a written file on images (B, C, H, W)."""
    session = _package("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(images: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])

    return run


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(name.partition(".")[0], "export") from error

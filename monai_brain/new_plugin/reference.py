"""An input and the answer that the network gave where its weights come from, kept as a test."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from monai_brain.errors import ConfigurationError, ModelError

CLOSE = 1e-3  # of the greatest logit, or of 1
Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Reference:
    """Images (B, C, H, W) as the network takes them, and their logits (B, classes)."""

    images: Array
    logits: Array


def read(path: Path) -> Reference:
    """The arrays "input" and "output" of an .npz file.

    Raises:
        ConfigurationError: The file is not there, is damaged, or holds other arrays.
    """
    try:
        # Opened here: np.load leaves a file open that only begins like a zip.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            names = list(content.files)
            arrays = [np.asarray(content[name], np.float32) for name in ("input", "output")]
    except KeyError:
        raise ConfigurationError(
            f"{path} holds {', '.join(names) or 'nothing'}. Expected the arrays 'input' and 'output'."
        ) from None
    except (OSError, ValueError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigurationError(f"{path} cannot be read as an .npz file of numbers: {error}.") from None
    images, logits = arrays
    if images.ndim == 3:
        images, logits = images[None], logits[None] if logits.ndim == 1 else logits
    if images.ndim != 4 or logits.ndim != 2 or len(images) != len(logits) or not len(images):
        raise ConfigurationError(
            f"{path} holds input {images.shape} and output {logits.shape}. Expected images (B, C, H, W) as "
            "the network takes them, and their logits (B, classes)."
        )
    return Reference(images, logits)


def hold(reference: Reference, network: nn.Module, path: Path) -> float:
    """The largest difference of the network's answer, which is small.

    Raises:
        ModelError: The network gives another answer.
    """
    network.eval()
    try:
        with torch.inference_mode():
            found = network(torch.from_numpy(reference.images)).float()
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"The network does not take the input of {path}: {reason[:200]}.") from error
    wanted = torch.from_numpy(reference.logits)
    if found.shape != wanted.shape:
        raise ModelError(
            f"{path} has an output {tuple(wanted.shape)}, the network gives {tuple(found.shape)}. Name its "
            "classes by --classes, in the order of its outputs."
        )
    difference = float((found - wanted).abs().max())
    if difference <= CLOSE * max(1.0, float(wanted.abs().max())):
        return difference
    if torch.allclose(found.softmax(dim=1), wanted, atol=CLOSE):
        raise ModelError(f"The output of {path} is probabilities. Give the logits before the softmax.")
    raise ModelError(
        f"The network's answer differs from {path} by up to {difference:.2g}. Was the output made in "
        "evaluation mode, with these weights, from this very input?"
    )


def write(reference: Reference, path: Path) -> None:
    """Keep it in the plugin's tests."""
    np.savez_compressed(path, input=reference.images, output=reference.logits)

"""Several trained networks as one model: the mean of their probabilities, in a bundle like any other."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from monai_brain.bundles import WEIGHTS_FILE, Bundle
from monai_brain.errors import ConfigurationError, ModelError
from monai_brain.files import read_json, write_json
from monai_brain.inference import decision
from monai_brain.inference import weights as network_weights
from monai_brain.safety import trust

_ALIKE = ("labels", "input_shape", "name")
_FILES = ("LICENSE", "configs/logging.conf", "docs/README.md", "docs/data_license.txt")


class AveragedNetworks(nn.Module):
    """Networks whose mean probabilities are the answer.

    The outputs are logits as any network's are: their softmax is the mean of the networks' softmaxes.

    Args:
        networks: Networks of the same input and the same classes.
        temperatures: What each network's logits are divided by; 1 unless given.
    """

    def __init__(self, networks: Sequence[nn.Module], temperatures: Sequence[float] | None = None) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.temperatures = list(temperatures) if temperatures is not None else [1.0] * len(networks)
        if len(self.temperatures) != len(networks):
            raise ConfigurationError(f"{len(self.temperatures)} temperatures for {len(networks)} networks.")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, classes) of images (B, C, H, W)."""
        each = torch.stack(
            [
                torch.log_softmax(network(x).float() / temperature, dim=1)
                for network, temperature in zip(self.networks, self.temperatures, strict=True)
            ]
        )
        return torch.logsumexp(each, dim=0) - math.log(len(self.networks))


def write(folder: str | Path, members: Sequence[str | Path]) -> Bundle:
    """Make the folder a bundle that averages the runs in it.

    Args:
        folder: Where configs/ and models/model.pt go; what else stands there stays.
        members: Run folders within it, which differ in nothing but their weights.

    Raises:
        ModelError: The runs are of different models, classes or sizes.
    """
    root = Path(folder)
    bundles = [Bundle.at(member) for member in members]
    first = bundles[0]
    definition = read_json(first.config("inference"))["network_def"]
    for other in bundles[1:]:
        odd = [name for name in _ALIKE if getattr(first, name) != getattr(other, name)]
        if odd or read_json(other.config("inference"))["network_def"] != definition:
            raise ModelError(
                f"{other.root} cannot be averaged with {first.root}: they are not the same network."
            )
    inference = read_json(first.config("inference"))
    inference["network_def"] = {
        "_target_": f"{__name__}.{AveragedNetworks.__name__}",
        "networks": [copy.deepcopy(definition) for _ in bundles],
        "temperatures": [decision.of(bundle).temperature for bundle in bundles],
    }
    write_json(root / "configs" / "inference.json", inference)
    for name in _FILES:
        source = first.root / name
        if source.is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(source.read_bytes())
    digest = _write_weights(root, bundles)
    write_json(root / "configs" / "metadata.json", _metadata(root, bundles, digest))
    trust.record_made_here(Bundle.at(root))
    return Bundle.at(root)


def _write_weights(root: Path, bundles: Sequence[Bundle]) -> str:
    together: dict[str, torch.Tensor] = {}
    for number, bundle in enumerate(bundles):
        state = network_weights.read(*network_weights.locate(bundle))
        together |= {f"networks.{number}.{key}": value for key, value in state.items()}
    return network_weights.write_tensors(root / WEIGHTS_FILE, together)


def _metadata(root: Path, bundles: Sequence[Bundle], digest: str) -> dict[str, Any]:
    metadata: dict[str, Any] = copy.deepcopy(bundles[0].metadata)
    facts = metadata["monai_brain"]
    facts["weights"] = {"file": WEIGHTS_FILE, "sha256": digest}
    facts["members"] = [bundle.root.relative_to(root.resolve()).as_posix() for bundle in bundles]
    for key in ("parameters", "flops"):
        if all(isinstance(bundle.facts.get(key), int) for bundle in bundles):
            facts[key] = sum(bundle.facts[key] for bundle in bundles)
    facts.pop(decision.KEY, None)  # each member's temperature is in the network; its threshold was its own
    if facts.get("cam_layer"):
        facts["cam_layer"] = f"networks.0.{facts['cam_layer']}"
    return metadata

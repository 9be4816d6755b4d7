"""A bundle's network, and weights that are checked before they are believed."""

from __future__ import annotations

import hashlib
import logging
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import torch

from monai_brain import recipe, registry
from monai_brain.bundles import WEIGHTS_FILE, Bundle
from monai_brain.errors import ConfigurationError, IntegrityError, ModelError, UnknownNameError
from monai_brain.files import sha256 as digest
from monai_brain.files import whole
from monai_brain.inference.channels import adapt_input_channels
from monai_brain.safety import store, trust

if TYPE_CHECKING:
    import os

_LOG = logging.getLogger(__name__)
StateDict = dict[str, torch.Tensor]


def network(
    model: str | os.PathLike[str] | Bundle,
    weights: str | os.PathLike[str] | None = None,
    **overrides: Any,
) -> torch.nn.Module:
    """The network of a model, in evaluation mode.

    Args:
        model: a registered name, a bundle folder or a run folder.
        weights: None for random weights, "shipped" for the bundle's own, or a .pt file or run folder.
        overrides: a variant of the bundle by `variant="..."`, top-level keys of the recipe
            (`in_channels=3`) or arguments of the network itself.

    Raises:
        UnknownNameError: An override that neither the recipe nor the network knows.
        ModelError: The weights are missing, damaged or of another network.
    """
    bundle = registry.bundle(model)
    parser = recipe.parsed(bundle, "inference")
    parser.update(variant(bundle, overrides.pop("variant", None)))
    definition = parser["network_def"]
    for key, value in overrides.items():
        if key in parser:
            parser[key] = value
        elif key in definition and not key.startswith("_"):
            definition[key] = value
        else:
            arguments = [key for key in definition if not key.startswith("_")]
            raise UnknownNameError(f"option of {bundle.name}", key, [*arguments, *_plain_keys(parser.get())])
    built = parser.get_parsed_content("network_def")
    if weights is not None:
        load(built, *locate(bundle, weights))
    return built.eval()


def variant(bundle: Bundle, name: str | None) -> dict[str, Any]:
    """The overrides that make one of a bundle's variants, as its metadata lists them.

    Raises:
        UnknownNameError: The bundle has no such variant.
    """
    if name is None:
        return {}
    variants = bundle.facts.get("variants", {})
    if name not in variants:
        raise UnknownNameError(f"variant of {bundle.name}", name, variants)
    return dict(variants[name])


def locate(bundle: Bundle, weights: str | os.PathLike[str] | None = None) -> tuple[Path, str | None]:
    """The file that holds the wanted weights, and the hash it must have where one is recorded.

    Weights that the metadata list by address are fetched when they are first asked for.

    Raises:
        ModelError: There is no such file, and it cannot be fetched.
        TrustError: It would be fetched from an address of a bundle that nobody has trusted.
    """
    if weights is None or weights == "shipped":
        found = bundle.weights
        if found is None and bundle.fetched_weights is not None:
            trust.admit(bundle)
            found = store.get(bundle)
        if found is None:
            raise ModelError(
                f"{bundle.name} has no weights: {bundle.root / WEIGHTS_FILE} does not exist. Train it with "
                f"`monai-brain train {bundle.name} --datalist FILE`, or name a file or run by --weights."
            )
        return found, bundle.weights_sha256
    path = Path(weights)
    if path.is_dir():
        return locate(Bundle.at(path))
    if not path.is_file():
        raise ModelError(f"Weights {path} do not exist. Name a .pt file or the folder of a run.")
    return path, None


def read(path: str | os.PathLike[str], sha256: str | None = None) -> StateDict:
    """The flat state_dict in a file, read without running anything that the file may hold.

    Raises:
        IntegrityError: The file is damaged, is no plain state_dict, or has another hash than it must.
    """
    if sha256 is not None and digest(path) != sha256:
        raise IntegrityError(f"{path} has not the recorded SHA-256 {sha256[:12]}... Fetch or train it again.")
    found = content(path)
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        name = Path(path).name
        raise IntegrityError(f"{name} is no flat state_dict of tensors. Save network.state_dict() itself.")
    return found


def content(path: str | os.PathLike[str]) -> Any:
    """What torch.save wrote into a file, read without running anything that the file may hold.

    Raises:
        IntegrityError: The file is damaged, or holds more than tensors and plain values.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise IntegrityError(
            f"{path} holds more than tensors and was not loaded. Save network.state_dict()."
        ) from None
    except Exception as error:  # noqa: BLE001  a damaged archive raises many kinds
        reason = str(error).partition("\n")[0]
        raise IntegrityError(f"{path} cannot be read as weights: {reason}. Is the file whole?") from None


def load(
    network: torch.nn.Module,
    path: str | os.PathLike[str],
    sha256: str | None = None,
    but: Sequence[str] = (),
) -> str:
    """Fill the network with the weights in a file, all of them or none; gives the file's SHA-256.

    Weights for one input channel fit a network for three and the other way round. The tensors named in
    `but` stay as the network has them.

    Raises:
        ModelError: The weights are of another network.
        UnknownNameError: The network has no tensor of a name in `but`.
    """
    own = network.state_dict()
    for name in but:
        if name not in own:
            raise UnknownNameError("tensor of the head", name, own)
    kept = {name: own[name] for name in but}
    state = adapt_input_channels({**read(path, sha256), **kept}, network)
    missing, left = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or left:
        raise ModelError(
            f"{path} is of another network: {len(missing)} tensors missing"
            f"{f' (first {missing[0]})' if missing else ''}, {len(left)} left over"
            f"{f' (first {left[0]})' if left else ''}."
        )
    wrong = [key for key in own if own[key].shape != state[key].shape]
    if wrong:
        shapes = f"{tuple(state[wrong[0]].shape)} for {tuple(own[wrong[0]].shape)}"
        raise ModelError(
            f"{path} is of another network: {len(wrong)} shapes differ, {wrong[0]} has {shapes}."
        )
    network.load_state_dict(state)
    return digest(path)


def start(
    network: torch.nn.Module,
    weights: str,
    bundle_root: str | os.PathLike[str],
    new_head: Sequence[str] = (),
) -> torch.nn.Module:
    """The network as a training begins it: "scratch", "imagenet", "shipped", a .pt file or a run folder.

    The tensors of a new head are named in `new_head`; they begin at random whatever the others begin with.

    Raises:
        ModelError: The weights cannot be had.
        ConfigurationError: The network has no ImageNet weights.
    """
    if weights == "scratch":
        return network
    bundle = Bundle.at(bundle_root)
    if weights == "imagenet":
        if not bundle.facts.get("imagenet"):
            raise ConfigurationError(
                f"{bundle.name} has no ImageNet weights. Start from scratch or name a file."
            )
        return network  # its network_def has seen to it
    path, sha256 = locate(bundle, weights)
    load(network, path, sha256, new_head)
    if new_head:
        _LOG.info("new head: %s begin anew; all other weights are of %s", ", ".join(new_head), path)
    return network


def save(network: torch.nn.Module, path: str | os.PathLike[str]) -> str:
    """Write the network's flat state_dict, whole or not at all; gives the file's SHA-256."""
    return write_tensors(path, _flat(network))


def state_sha256(network: torch.nn.Module) -> str:
    """The SHA-256 of the file that `save` would write."""
    nowhere = _Hashing()
    torch.save(_flat(network), nowhere)  # type: ignore[arg-type]  # all it asks of a file is write()
    return nowhere.digest.hexdigest()


def _flat(network: torch.nn.Module) -> StateDict:
    return {key: value.detach().cpu() for key, value in network.state_dict().items()}


def write_tensors(
    path: str | os.PathLike[str], content: Mapping[str, Any], before: Callable[[str], object] | None = None
) -> str:
    """Write what torch.save takes, whole or not at all; gives the file's SHA-256.

    `before` is handed the hash when all bytes are written and the file has not taken its name yet.

    Raises:
        OutputError: The disk is full, or the place cannot be written.
    """
    with whole(path, "wb") as stream:
        hashing = _Hashing(stream)
        try:
            torch.save(content, hashing)  # type: ignore[arg-type]  # all it asks of a file is write()
        except Exception:
            if hashing.failure is not None:
                # torch's writer, which is C++, reports a full disk as an error of its own.
                raise hashing.failure from None
            raise
        sha256 = hashing.digest.hexdigest()
        if before is not None:
            before(sha256)
    return sha256


class _Hashing:
    """A binary file that counts its SHA-256 while it is written, and keeps the error that stopped it."""

    def __init__(self, stream: IO[bytes] | None = None) -> None:
        self.stream, self.digest = stream, hashlib.sha256()
        self.failure: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            if self.stream is not None:
                self.stream.write(data)
        except OSError as error:
            self.failure = error
            raise
        self.digest.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing: the stream is flushed when it is whole."""


def _plain_keys(recipe: dict[str, Any]) -> list[str]:
    return [key for key, value in recipe.items() if isinstance(value, int | float | str) and key != "imports"]

"""The folder of a run, which is itself a bundle: what stands in it and how it is begun and finished."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import ignite.distributed as idist

import monai_brain
from monai_brain import recipe
from monai_brain.bundles import WEIGHTS_FILE, Bundle
from monai_brain.data import datalist as datalists
from monai_brain.errors import ConfigurationError, OutputError
from monai_brain.files import read_json, sha256, sweep, whole, write_json
from monai_brain.inference import decision
from monai_brain.inference import weights as network_weights
from monai_brain.inference.cost import cost
from monai_brain.safety import trust
from monai_brain.training import checkpoint_files, own_classes, trained_on

MANIFEST_FILE = "manifest.json"
METRICS_FILE = "metrics.csv"
EVENTS_FOLDER = "events"
PREDICTIONS_FILE = "predictions.csv"
JUDGEMENT_FILE = "metrics.json"
_PACKAGES = ("monai", "numpy", "opencv-python-headless", "pytorch-ignite", "scikit-learn", "scipy", "torch")


def begin(
    run_dir: str | Path,
    bundle_root: str | Path,
    config: Mapping[str, Any],
    datalist: str | Mapping[str, Any],
    resume: bool,
    device: Any = None,
) -> Path:
    """The run folder, with the configs as resolved and the manifest's first half.

    Raises:
        OutputError: The folder holds another run, and this one is not to go on with it.
        ConfigurationError: There is nothing to go on with, or it was begun with other data.
    """
    folder = Path(run_dir)
    if resume:
        _check_same(folder, datalist)
    # One that ended before its first epoch, for a wrong option say, left nothing worth keeping. Nor has one
    # that is only initialized, which MONAI's federated client does again after it has set its values.
    elif checkpoint_files.found(folder) or (folder / WEIGHTS_FILE).exists():
        raise OutputError(
            f"{folder} holds a run already. Name another run_dir, or go on with it by --resume."
        )
    for place in (
        folder,
        *(folder / name for name in ("configs", "docs", "models", checkpoint_files.FOLDER)),
    ):
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot make {place}: {error.strerror}. Name another run_dir.") from None
        sweep(place)
    checkpoint_files.tidy(folder)
    for name, content in recipe.as_resolved(bundle_root, config).items():
        write_json(folder / "configs" / name, content)
    for name in ("LICENSE", "configs/logging.conf", "docs/README.md", "docs/data_license.txt"):
        source = Path(bundle_root) / name
        if source.is_file() and source.resolve() != (folder / name).resolve():
            with whole(folder / name, "wb") as stream:
                stream.write(source.read_bytes())
    _as_trained(folder, config, datalist)
    trust.record_made_here(Bundle.at(folder))
    manifest = _manifest(bundle_root, config)
    manifest |= {"device": str(device), "processes": idist.get_world_size(), "datalist": _told(datalist)}
    write_json(folder / MANIFEST_FILE, manifest)
    return folder


def _check_same(folder: Path, datalist: str | Mapping[str, Any]) -> None:
    """Refuse to go on with what is no run, or is one of other data. One without a checkpoint begins anew."""
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} holds no run to resume. Start it without --resume.")
    if not (folder / MANIFEST_FILE).is_file():
        return
    begun, now = read_json(folder / MANIFEST_FILE).get("datalist", {}), _told(datalist)
    if begun.get("sha256") != now["sha256"]:
        raise ConfigurationError(
            f"{folder} was begun with a datalist of SHA-256 {str(begun.get('sha256'))[:12]}..., this one has "
            f"{str(now['sha256'])[:12]}.... Resume with that one, or train from its weights by --from."
        )


def leakage(run_dir: str | Path) -> str | None:
    """The mark of a run whose data were not split by patient, or None."""
    path = Path(run_dir) / MANIFEST_FILE
    told = read_json(path).get("datalist", {}) if path.is_file() else {}
    return told.get("leakage")


def finish(run_dir: str | Path, outcome: Mapping[str, Any]) -> None:
    """Record the weights' SHA-256, the network's size and how the training went."""
    folder = Path(run_dir)
    metadata = read_json(folder / "configs" / "metadata.json")
    metadata["monai_brain"]["weights"] = {
        **outcome,
        "file": WEIGHTS_FILE,
        "sha256": sha256(folder / WEIGHTS_FILE),
    }
    # A variant, or another number of channels, is another size than the bundle states.
    trained = network_weights.network(Bundle.at(folder))
    size = cost(trained, Bundle.at(folder).input_shape)
    metadata["monai_brain"] |= {"parameters": size.parameters, "flops": size.flops}
    write_json(folder / "configs" / "metadata.json", metadata)
    write_json(folder / MANIFEST_FILE, {**read_json(folder / MANIFEST_FILE), "outcome": dict(outcome)})


def _as_trained(folder: Path, config: Mapping[str, Any], datalist: str | Mapping[str, Any]) -> None:
    """Make the run's metadata true to the network that is trained in it."""
    metadata = read_json(folder / "configs" / "metadata.json")
    facts = metadata.setdefault("monai_brain", {})
    facts.setdefault("model", Bundle.at(folder).name)
    for name in ("weights", decision.KEY):
        facts.pop(name, None)  # those of the bundle that this run started from
    image = metadata["network_data_format"]["inputs"]["image"]
    size, channels = config.get("image_size"), config.get("in_channels")
    if isinstance(size, int):
        image["spatial_shape"] = [size, size]
    if isinstance(channels, int):
        image["num_channels"] = channels
        image["channel_def"] = {str(index): "image" for index in range(channels)}
    if isinstance(config.get("labels"), list):  # named by the user in place of the bundle's own
        own_classes.described(metadata, config["labels"])
        _say_on_card(folder, config["labels"])
    facts["variant"] = config.get("variant") or ""
    fold = config.get("fold")
    trained_on.keep(facts, datalist, fold if isinstance(fold, int) else None)
    write_json(folder / "configs" / "metadata.json", metadata)


def _say_on_card(folder: Path, labels: list[str]) -> None:
    """Let nobody take the card of the model that was started from for one of these classes."""
    path = folder / "docs" / "README.md"
    card = path.read_text(encoding="utf-8") if path.is_file() else ""
    note = f"> Trained anew for the classes {', '.join(labels)}. Below is the card of the model it began as."
    if not card.startswith(note):
        with whole(path) as stream:
            stream.write(f"{note}\n\n{card}")


def _told(datalist: str | Mapping[str, Any]) -> dict[str, Any]:
    """What a reader of the run must know of its data."""
    content = datalists.read(datalist)
    told = {key: content.get(key) for key in ("name", "scheme", "folds", "seed", "leakage")}
    return {**told, "sha256": None if isinstance(datalist, Mapping) else sha256(datalist)}


def _manifest(bundle_root: str | Path, config: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    return {
        "schema_version": 1,
        "model": Bundle.at(bundle_root).name,
        "model_version": Bundle.at(bundle_root).metadata.get("version"),
        "monai_brain": monai_brain.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "cuda": torch.version.cuda if torch.cuda.is_available() else None,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "seed": config.get("seed"),
        "git": _git(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git() -> str | None:
    """The commit that the code runs from, marked when it was changed since; None for an installed package."""
    here = Path(__file__).resolve().parent
    try:
        found = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=40"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None

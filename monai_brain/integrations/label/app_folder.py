"""The folder that MONAI Label runs as an application: main.py, and a writable copy of every bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from monai_brain import registry
from monai_brain.bundles import WEIGHTS_FILE, Bundle
from monai_brain.errors import ConfigurationError, ModelError, UnknownNameError
from monai_brain.files import read_json, sha256, whole, write_json
from monai_brain.integrations.label.served import FIRST, Served

SETTINGS_FILE = "label.json"
_MAIN = '''"""What MONAI Label runs; the models stand in models/ beside it."""

from monai_brain.integrations.label.app import BrainLabelApp

__all__ = ["BrainLabelApp"]
'''


def write(
    folder: Path, models: Sequence[str] | None = None, weights: Mapping[str, str] | None = None
) -> dict[str, Served]:
    """The models of the application in a folder, which is written where it is not there yet.

    What is there already stays: a server that is started again serves what was trained before.

    Args:
        folder: The application's folder.
        models: Names, bundle folders or run folders; by default every registered model.
        weights: For a model's name a .pt file or a run folder instead of its own weights.

    Raises:
        UnknownNameError: There is no such model, or weights are given for one that is not served.
        ConfigurationError: Two models bear one name, or weights are given for a model that is there already.
    """
    found: dict[str, Bundle] = {}
    for model in models if models is not None else registry.models():
        bundle = registry.bundle(model)
        if bundle.name in found:
            raise ConfigurationError(f"Two of the models are called {bundle.name!r}. Serve one of them.")
        found[bundle.name] = bundle
    if not found:
        raise ConfigurationError("There is no model to serve. Is a plugin installed? See: monai-brain list")
    chosen = dict(weights or {})
    for name in chosen:
        if name not in found:
            raise UnknownNameError("model in --weights", name, found)
    served = {name: Served(folder / "models" / name) for name in found}
    for name, one in served.items():
        _copy(found[name], one, chosen.get(name))
    with whole(folder / "main.py") as stream:
        stream.write(_MAIN)
    write_json(folder / SETTINGS_FILE, {"schema_version": 1, "models": list(served)})
    return served


def read(folder: Path) -> dict[str, Served]:
    """The models of an application's folder.

    Raises:
        ConfigurationError: The folder is none.
    """
    names = read_json(folder / SETTINGS_FILE)["models"]
    return {str(name): Served(folder / "models" / str(name)) for name in names}


def _copy(bundle: Bundle, served: Served, weights: str | None) -> None:
    target = served.folder / FIRST
    if (target / "configs" / "metadata.json").is_file():
        if weights is not None:
            raise ConfigurationError(
                f"{served.folder} is there already, with weights of its own. Name a new folder by -o."
            )
        return
    given = Path(weights) if weights is not None else None
    if given is not None and given.is_dir():
        bundle = Bundle.at(given)
    copy = bundle.copy(target)
    metadata = read_json(copy.root / "configs" / "metadata.json")
    facts = metadata.setdefault("monai_brain", {})
    facts.setdefault("model", served.name)  # the folder's name is the version's
    if given is not None and not given.is_dir():
        if not given.is_file():
            raise ModelError(f"Weights {given} do not exist. Name a .pt file or the folder of a run.")
        with whole(copy.root / WEIGHTS_FILE, "wb") as stream:
            stream.write(given.read_bytes())
        facts["weights"] = {"file": WEIGHTS_FILE, "sha256": sha256(given)}
        facts.pop("decision", None)  # that of other weights
    write_json(copy.root / "configs" / "metadata.json", metadata)

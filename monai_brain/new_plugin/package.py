"""The package of a new plugin: every file of it, proven to work before it takes its place."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from monai_brain.bundles import WEIGHTS_FILE, Bundle
from monai_brain.errors import ConfigurationError, ModelError, OutputError
from monai_brain.files import whole
from monai_brain.inference import weights as network_weights
from monai_brain.new_plugin import configs, conversion, measured, reference, sources
from monai_brain.new_plugin.names import CLASSES, class_names, naming
from monai_brain.safety import trust

TEMPLATE = Path(__file__).parent / "template"
_SUFFIX = ".template"
_SMALLEST, _LARGEST = 32, 2048
_PLACES = {"gitignore": ".gitignore", "github": ".github"}  # a wheel's patterns pass over names with a dot


@dataclass(frozen=True)
class Made:
    """A plugin's package.

    Attributes:
        folder: Where it stands.
        bundle: Its bundle.
        weights_sha256: Of its weights, or None where it has none.
        difference: The largest difference from the reference's answer, or None where it has none.
    """

    folder: Path
    bundle: Bundle
    weights_sha256: str | None = None
    difference: float | None = None


def new_plugin(
    name: str,
    folder: str | os.PathLike[str] | None = None,
    *,
    classes: Sequence[str] = CLASSES,
    network: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    reference_file: str | os.PathLike[str] | None = None,
    size: int = 224,
    channels: int = 1,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
) -> Made:
    """An installable package around a network, written whole or not at all.

    The network is built, shown images, filled with the weights and held against the reference before
    anything takes its place.

    Args:
        name: Of the model and of the package.
        folder: Where the package goes; by default a new folder of its name.
        classes: In the order of the network's outputs.
        network: `timm:NAME`, or `PATH.py:Class` for a network file; by default a small one to replace.
        weights: A file of weights of the network.
        reference_file: An .npz file of an input and the network's answer, to be kept as a test.
        size: Side of the image in pixels.
        channels: Channels that the network takes, 1 or 3.
        mean: Of each channel on 0..1; by default each image is standardised by itself.
        std: The same.

    Raises:
        ConfigurationError: Something cannot be used as given.
        ModelError: The network does not work, or the weights or the reference are not its own.
        OutputError: The folder holds something already, or cannot be written.
    """
    wanted = configs.Wanted(
        naming(name), class_names(classes), size, channels, *_numbers(size, channels, mean, std)
    )
    if reference_file is not None and weights is None:
        raise ConfigurationError("--reference needs --weights: random weights have no answer to keep.")
    kept = None if reference_file is None else reference.read(Path(reference_file))
    source = sources.source(network, wanted.names)
    target = Path(folder if folder is not None else name)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise OutputError(f"{target} exists and is not empty. Name a new folder.")
    with _taking_its_place(target) as draft:
        root = draft / "src" / name / "bundles" / wanted.names.folder
        _fill(draft, root, wanted, source)
        with _importable(draft / "src", name):
            build = getattr(_imported(f"{name}.network"), source.attribute)
            network_def = sources.definition(f"{name}.network.{source.attribute}", build, source.pretrained)
            configs.write_recipes(wanted, root, network_def, source.pretrained)
            configs.write_metadata(wanted, root, {})
            with trust.admitted(Bundle.at(root)):
                facts, built = _facts(Bundle.at(root), source)
            sha256 = difference = None
            if weights is not None:
                conversion.convert(Path(weights), built)
                sha256 = network_weights.save(built, root / WEIGHTS_FILE)
                facts["weights"] = {"sha256": sha256, "licence": "Apache-2.0"}
            if kept is not None:
                difference = reference.hold(kept, built, Path(str(reference_file)))
                reference.write(kept, draft / "tests" / "reference.npz")
        configs.write_metadata(wanted, root, facts)
        configs.write_samples(wanted, root)
        if kept is None:
            (draft / "tests" / "test_reference.py").unlink()
    inside = root.relative_to(draft)
    return Made(target, Bundle.at(target / inside), sha256, difference)


def _numbers(
    size: int, channels: int, mean: Sequence[float], std: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and the deviation of each channel, after a look at all numbers."""
    if not _SMALLEST <= size <= _LARGEST:
        raise ConfigurationError(f"--size is {size}. Expected {_SMALLEST} to {_LARGEST} pixels.")
    if channels not in (1, 3):
        raise ConfigurationError(f"--channels is {channels}. Expected 1 or 3: images are read as grey.")
    if bool(mean) != bool(std):
        raise ConfigurationError("--mean and --std go together. Give both or neither.")
    if mean and (len(mean) not in (1, channels) or len(std) != len(mean)):
        raise ConfigurationError(
            f"--mean has {len(mean)} numbers, --std {len(std)}. Expected {channels} of each, one a channel."
        )
    if any(not 0 <= value <= 1 for value in mean) or any(not 0 < value <= 1 for value in std):
        raise ConfigurationError("--mean and --std are those of images on 0..1: give them on that scale.")
    times = channels if len(mean) == 1 else 1
    return tuple(map(float, mean)) * times, tuple(map(float, std)) * times


def _fill(draft: Path, root: Path, wanted: configs.Wanted, source: sources.Source) -> None:
    """Write the files that are made from the template."""
    names = wanted.names
    words = {
        "my_model": names.package,
        "my-model": names.distribution,
        "MyModel": names.class_name,
        "the_classes": ", ".join(wanted.labels),
        "the_channels": "one channel" if wanted.channels == 1 else "three equal channels",
        "the_size": str(wanted.size),
        "the_scaling": "standardising by a fixed mean" if wanted.mean else "standardising per image",
        **dict(source.words),
    }
    for path in sorted(TEMPLATE.rglob(f"*{_SUFFIX}")):
        parts = [_PLACES.get(part, part) for part in path.relative_to(TEMPLATE).parts]
        parts[-1] = _PLACES.get(parts[-1].removesuffix(_SUFFIX), parts[-1].removesuffix(_SUFFIX))
        if path.name in (sources.TEMPLATE, sources.TIMM_TEMPLATE):
            if source.text or path.name != source.template:
                continue
            parts[-1] = "network.py"
        place = root.joinpath(*parts[1:]) if parts[0] == "bundle" else draft.joinpath(*parts)
        text = path.read_text(encoding="utf-8")
        if path.name == f"pyproject.toml{_SUFFIX}":
            text = _needing(text, source.needs)
        _write(draft / _worded(str(place.relative_to(draft)), words), _worded(text, words))
    if source.text:
        _write(draft / "src" / names.package / "network.py", source.text)
    _write(draft / "LICENSE", (Bundle.in_package(*configs.ORIGIN).root / "LICENSE").read_text("utf-8"))


def _worded(text: str, words: dict[str, str]) -> str:
    for word, meaning in words.items():
        text = text.replace(word, meaning)
    return text


def _needing(pyproject: str, needs: Sequence[str]) -> str:
    line = 'dependencies = ["monai-brain>=0.1"]'
    more = "".join(f', "{need}"' for need in needs)
    return pyproject.replace(line, f"{line[:-1]}{more}]")


def _write(path: Path, text: str) -> None:
    with whole(path) as stream:
        stream.write(text)


def _facts(bundle: Bundle, source: sources.Source) -> tuple[dict[str, Any], nn.Module]:
    """What the metadata say of the network, and the network."""
    found = measured.measured(bundle)
    facts: dict[str, Any] = {
        "parameters": found.parameters,
        "flops": found.flops,
        "cam_layer": found.cam_layer,
    }
    if found.smallest_image is not None:
        facts["smallest_image"] = found.smallest_image
    if source.pretrained:
        facts["imagenet"] = True
    return facts, measured.built(bundle, bundle.input_shape[1])


@contextlib.contextmanager
def _taking_its_place(target: Path) -> Iterator[Path]:
    """A folder beside the target that becomes it when the block ends without an error."""
    parent = target.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=parent))
        draft.chmod(0o755)
    except OSError as error:
        raise OutputError(f"Cannot write {target}: {error.strerror or error}. Name another folder.") from None
    try:
        yield draft
        try:
            if target.exists():
                target.rmdir()
            draft.rename(target)
        except OSError as error:
            raise OutputError(f"Cannot write {target}: {error.strerror or error}.") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextlib.contextmanager
def _importable(place: Path, package: str) -> Iterator[None]:
    """The package as if it were installed; afterwards the process knows nothing of it."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(place))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
        sys.path.remove(str(place))
        for module in [name for name in sys.modules if name.partition(".")[0] == package]:
            del sys.modules[module]
        importlib.invalidate_caches()


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except Exception as error:
        raise ModelError(
            f"The network's file cannot be imported: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error

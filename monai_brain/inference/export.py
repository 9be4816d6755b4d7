"""A network in the forms that other programs run, each held against the network before it appears."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from monai_brain import registry
from monai_brain.bundles import Bundle
from monai_brain.errors import ModelError, MonaiBrainError, OutputError, UnknownNameError
from monai_brain.inference import weights as network_weights
from monai_brain.inference.configs import INFERENCE, METADATA, Configs, configs
from monai_brain.inference.fuse import fuse

TOLERANCE = 1e-4
BATCHES = (1, 7)
RANDOM = "random"

PathLike = str | os.PathLike[str]
Run = Callable[[torch.Tensor], torch.Tensor]
Exporter = Callable[["Exportable", Path], Run | None]


@dataclass(frozen=True)
class Exportable:
    """What an exporter is handed: a network, the bundle that it belongs to, and the bundle's facts about it.

    An exporter takes this and a path at which nothing stands, and writes one file or folder there. It
    returns a function that runs what was written, read back from the disk, on images (B, C, H, W), and
    which is held against the network; or None where the form is not meant to compute the same.

    Attributes:
        network: in evaluation mode, on the CPU, not fused.
        bundle: the model.
        configs: the bundle's configs by file name, true to this network.
        calibration: images for forms that measure the network on real input; None where none were named.
    """

    network: nn.Module
    bundle: Bundle
    configs: Configs
    calibration: Sequence[PathLike] | None = None

    @functools.cached_property
    def fused(self) -> nn.Module:
        """The network with BatchNorm folded away, for inference."""
        return fuse(self.network)

    @functools.cached_property
    def for_integers(self) -> nn.Module:
        """The network to quantise: fused, and laid out for integers where it has a method for that."""
        own = getattr(self.network, "for_integers", None)
        _, height, width = self.input_shape
        if not callable(own) or height % 2 or width % 2:
            return self.fused
        made: nn.Module = own()
        return made

    @property
    def metadata(self) -> dict[str, Any]:
        """The content of metadata.json."""
        return self.configs[METADATA]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the image that the network takes."""
        image = self.metadata["network_data_format"]["inputs"]["image"]
        height, width = image["spatial_shape"]
        return image["num_channels"], height, width

    @property
    def embedded(self) -> dict[str, str]:
        """The JSON texts that a file should carry to say what it is and how its input is prepared."""
        return {name: json.dumps(self.configs[name], ensure_ascii=False) for name in (METADATA, INFERENCE)}

    def images(self, count: int) -> torch.Tensor:
        """Random images of the network's size, the same at every call; (count, C, H, W)."""
        return torch.randn(count, *self.input_shape, generator=torch.Generator().manual_seed(count))


def export(
    model: PathLike | Bundle,
    format: str,  # noqa: A002
    path: PathLike,
    *,
    weights: PathLike | None = None,
    variant: str | None = None,
    calibration: PathLike | Sequence[PathLike] | None = None,
    check: bool = True,
    **overrides: Any,
) -> Path:
    """Write a model in another form; gives the path.

    Args:
        model: a registered name, a bundle folder or a run folder.
        format: a registered format, for example onnx.
        path: the file or, for the format zoo, the folder to write.
        weights: a .pt file or a run folder instead of the model's own weights; "random" for none.
        variant: one of the bundle's variants.
        calibration: files, folders or globs of images, for int8.
        check: hold what was written against the network, and refuse to write what differs.
        overrides: keys of the recipe or arguments of the network, as `monai_brain.network` takes them.

    Raises:
        ModelError: There are no weights, or the network cannot be written in this form.
        MissingExtraError: The form needs a package that is not installed.
        OutputError: The place cannot be written.
    """
    bundle = registry.bundle(model)
    exporter(format)
    found = None if weights == RANDOM else weights or "shipped"
    network = network_weights.network(bundle, found, variant=variant, **overrides)
    settings = {**network_weights.variant(bundle, variant), **overrides}
    return export_network(
        network, bundle, format, path, settings=settings, calibration=calibration, check=check
    )


def export_network(
    network: nn.Module,
    bundle: Bundle,
    format: str,  # noqa: A002
    path: PathLike,
    *,
    settings: Mapping[str, Any] | None = None,
    calibration: PathLike | Sequence[PathLike] | None = None,
    check: bool = True,
) -> Path:
    """Write a network that is at hand, with whatever weights it holds; gives the path.

    Args:
        network: the network; it is left as it is.
        bundle: the model that it belongs to.
        format: as for `export`.
        path: as for `export`.
        settings: what the network was built with beside the bundle's recipe (`image_size`, ...).
        calibration: as for `export`.
        check: as for `export`.

    Raises:
        MonaiBrainError: As for `export`.
    """
    write = exporter(format)
    given = [calibration] if isinstance(calibration, str | os.PathLike) else calibration
    job = Exportable(
        copy.deepcopy(network).cpu().eval(), bundle, configs(bundle, settings or {}), calibration=given
    )
    target = Path(path)
    with beside(target) as place:
        try:
            run = write(job, place)
            if check and run is not None:
                _hold(job, run)
        except (MonaiBrainError, OSError, MemoryError):
            raise
        except Exception as error:  # each form's converter raises its own kinds
            reason = " ".join(str(error).partition("\n")[0].split()) or "no reason given"
            raise ModelError(
                f"{bundle.name} cannot be exported as {format}: {type(error).__name__}: {reason}"
            ) from error
    return target


def exporter(format: str) -> Exporter:  # noqa: A002
    """The registered function that writes a format.

    Raises:
        UnknownNameError: No plugin registers the format.
    """
    known = registry.registry().exporters
    if format not in known:
        raise UnknownNameError("format", format, known)
    return known[format].load()


def _hold(job: Exportable, run: Run) -> None:
    """Refuse a form whose output is not the network's, for one image or for several."""
    for count in BATCHES:
        images = job.images(count)
        with torch.inference_mode():
            wanted = job.network(images)
        given = run(images)
        if given.shape != wanted.shape:
            raise ModelError(
                f"{job.bundle.name}: for {count} images the network gives {tuple(wanted.shape)}, "
                f"what was exported {tuple(given.shape)}. Nothing was written."
            )
        worst = float((given - wanted).abs().max())
        allowed = TOLERANCE * max(1.0, float(wanted.abs().max()))
        if not worst <= allowed:  # also where either is not a number
            raise ModelError(
                f"{job.bundle.name}: for {count} images what was exported differs from the network by "
                f"{worst:.2g}, at most {allowed:.2g} is allowed. Nothing was written."
            )


@contextlib.contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A place beside the target; what the block puts there becomes the target when it ends without error.

    Raises:
        OutputError: The target is a folder that is not empty, or cannot be written.
    """
    if target.is_dir() and any(target.iterdir()):
        raise OutputError(f"{target} is a folder that is not empty. Name a new file or folder.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=target.parent, prefix=f".{target.name}.", suffix=".exporting"
        ) as folder:
            place = Path(folder) / target.name
            yield place
            for path in (place, *place.rglob("*")):
                if path.is_file():
                    with path.open("rb") as stream:
                        os.fsync(stream.fileno())
            if target.is_dir():
                target.rmdir()
            place.replace(target)
    except OSError as error:
        raise OutputError(f"Cannot write {target}: {error.strerror or error}. Name another place.") from error

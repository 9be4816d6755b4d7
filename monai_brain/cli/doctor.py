"""doctor: what works on this machine, and what does not and why."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import NamedTuple

from monai_brain import __version__
from monai_brain.files import sha256
from monai_brain.registry import registry

_GIGABYTE = 1024**3
_ENOUGH_DISK = 5 * _GIGABYTE


class Finding(NamedTuple):
    """One thing that was looked at: "ok", "absent" (optional) or "broken", and what to know of it."""

    what: str
    state: str
    detail: str


def run(options: argparse.Namespace) -> int:
    """Print what was found; 2 if something that is needed is broken."""
    found = list(examine())
    if options.json:
        print(json.dumps({"schema_version": 1, "findings": [finding._asdict() for finding in found]}))
    else:
        width = max(len(finding.what) for finding in found)
        for finding in found:
            print(f"{finding.state:>6}  {finding.what:{width}}  {finding.detail}")
    return (
        2
        if any(finding.state == "broken" and not finding.what.startswith("plugin ") for finding in found)
        else 0
    )


def examine() -> Iterator[Finding]:
    """Everything that was looked at, one after the other."""
    yield Finding("monai-brain", "ok", f"{__version__}, Python {sys.version.split()[0]}")
    for look in (_core, _torchvision, _gpu, _codecs, _extras, _disk, _plugins, _weights):
        yield from look()


def _core() -> Iterator[Finding]:
    for package, module in (
        ("torch", "torch"),
        ("monai", "monai"),
        ("pytorch-ignite", "ignite"),
        ("numpy", "numpy"),
        ("scipy", "scipy"),
        ("scikit-learn", "sklearn"),
        ("opencv-python-headless", "cv2"),
    ):
        reason = _import_failure(module)
        yield Finding(package, "broken" if reason else "ok", reason or _version(package))


def _torchvision() -> Iterator[Finding]:
    if _version("torchvision") == "":
        yield Finding("torchvision", "absent", "needed by the extras baselines and explain")
        return
    reason = _import_failure("torchvision")
    if reason:
        reason = f"does not fit torch {_version('torch')}: {reason}. Run: pip install -U torch torchvision"
    yield Finding("torchvision", "broken" if reason else "ok", reason or _version("torchvision"))


def _gpu() -> Iterator[Finding]:
    import torch

    if torch.version.cuda is None:
        yield Finding("GPU", "absent", "this torch is built without CUDA; training runs on the CPU")
    elif not torch.cuda.is_available():
        yield Finding(
            "GPU", "absent", f"none that CUDA {torch.version.cuda} can use (no device, or an older driver)"
        )
    else:
        try:
            torch.zeros(8, device="cuda").sum().item()
        except Exception as error:  # noqa: BLE001  whatever the driver says
            yield Finding("GPU", "broken", f"present but unusable: {_line(error)}")
        else:
            precision = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
            yield Finding(
                "GPU", "ok", f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, {precision}"
            )
    yield Finding("CPU threads", "ok", str(torch.get_num_threads()))


def _codecs() -> Iterator[Finding]:
    for module, what, extra in (
        ("pydicom", "DICOM", "dicom"),
        ("itk", "NIfTI, NRRD, MHA", "dicom"),
        ("h5py", "MATLAB v7.3", "tables"),
        ("openjpeg", "JPEG 2000 in DICOM", "dicom"),
        ("jpeg_ls", "JPEG-LS in DICOM", "dicom"),
        ("libjpeg", "JPEG Lossless in DICOM", ""),
    ):
        reason = _import_failure(module)
        hint = f"pip install 'monai-brain[{extra}]'" if extra else "pip install pylibjpeg-libjpeg (GPL 3)"
        yield Finding(f"reads {what}", "absent" if reason else "ok", hint if reason else f"by {module}")


def _extras() -> Iterator[Finding]:
    """Each extra with the packages of it that are missing, read from the installed metadata."""
    wanted: dict[str, list[str]] = {}
    try:
        lines = requires("monai-brain") or []
    except PackageNotFoundError:
        lines = []
    for line in lines:
        package, _, condition = line.partition(";")
        if "extra ==" in condition and not package.startswith("monai-brain"):
            extra = condition.split("extra ==")[1].strip(" \"')")
            name = "".join(
                letter if letter.isalnum() or letter in "-_." else " " for letter in package
            ).split()[0]
            wanted.setdefault(extra, []).append(name)
    for extra, packages in sorted(wanted.items()):
        missing = [name for name in packages if not _version(name)]
        detail = (
            f"missing {', '.join(missing)}: pip install 'monai-brain[{extra}]'"
            if missing
            else ", ".join(packages)
        )
        yield Finding(f"extra {extra}", "absent" if missing else "ok", detail)


def _disk() -> Iterator[Finding]:
    free = shutil.disk_usage(Path.cwd()).free
    state = "ok" if free >= _ENOUGH_DISK else "broken"
    yield Finding("disk", state, f"{free / _GIGABYTE:.1f} GB free in the working folder")
    home = os.environ.get("MONAI_BRAIN_HOME")
    yield Finding(
        "MONAI_BRAIN_HOME", "ok" if home else "absent", home or "not set; caches go to the user's folder"
    )


def _plugins() -> Iterator[Finding]:
    found = registry()
    for plugin, module in sorted(found.plugins.items()):
        yield Finding(f"plugin {plugin}", "ok", module)
    for plugin, reason in sorted(found.broken.items()):
        yield Finding(f"plugin {plugin}", "broken", reason)


def _weights() -> Iterator[Finding]:
    for name, bundle in sorted(registry().bundles.items()):
        if bundle.weights is None:
            yield Finding(f"weights of {name}", "absent", "train the model, or name weights by --weights")
        elif bundle.weights_sha256 is None:
            yield Finding(f"weights of {name}", "ok", "present; no SHA-256 is recorded")
        else:
            whole = sha256(bundle.weights) == bundle.weights_sha256
            detail = "SHA-256 as recorded" if whole else "SHA-256 differs from the recorded one"
            yield Finding(f"weights of {name}", "ok" if whole else "broken", detail)


def _import_failure(module: str) -> str:
    try:
        importlib.import_module(module)
    except Exception as error:  # noqa: BLE001  a broken installation may raise anything
        return _line(error)
    return ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]

"""label."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

from monai_brain.errors import ConfigurationError, MissingExtraError
from monai_brain.integrations.label import app_folder

HOST = "127.0.0.1"
_ENDINGS = ("nii.gz", "nii", "nrrd", "mha", "mhd", "png", "jpg", "jpeg", "bmp", "tif", "tiff", "dcm")


def label(options: argparse.Namespace) -> int:
    """Write the application's folder, and run MONAI Label with it until told to stop."""
    studies = options.studies
    if not studies.startswith(("http://", "https://")):
        if not Path(studies).is_dir():
            raise ConfigurationError(f"{studies} is no folder. Name the folder of the images by --studies.")
        studies = str(Path(studies).resolve())
    folder = Path(options.output or Path("runs") / "label").resolve()
    if Path(studies) in (folder, *folder.parents):
        raise ConfigurationError(f"{folder} lies among the studies. Name another folder by -o.")
    models = [name for name in options.models.split(",") if name] if options.models else None
    served = app_folder.write(folder, models, dict(map(_pair, options.weights)))
    bare = [name for name, one in served.items() if one.bundle.weights is None]
    address = f"http://{HOST}:{options.port}"
    if options.json:
        told = {"schema_version": 1, "app": str(folder), "address": address, "models": list(served)}
        print(json.dumps(told | {"without_weights": bare}), flush=True)
    else:
        print(f"The application is {folder}, with {', '.join(served)}.")
        if bare:
            print(f"Without weights until they are trained: {', '.join(bare)}.")
    if options.write_only:
        return 0
    if importlib.util.find_spec("monailabel") is None:
        raise MissingExtraError("monailabel", "label")
    disclaimer = next(iter(served.values())).bundle.disclaimer
    if not options.json:
        print(f"Serving at {address}, the labelling page at {address}/brain/. {disclaimer}", flush=True)
    return _run(folder, studies, options.port)


def _pair(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not equals or not path:
        raise ConfigurationError(f"--weights takes MODEL=FILE or MODEL=RUN, not {text!r}.")
    return name, path


def _run(folder: Path, studies: str, port: int) -> int:
    """The server's exit status; it ends with this process."""
    settings = {
        "MONAI_LABEL_AUTO_UPDATE_SCORING": "false",  # or each next sample would start a process that scores
        "MONAI_LABEL_DATASTORE_FILE_EXT": json.dumps([f"*.{ending}" for ending in _ENDINGS]),
        "MONAI_LABEL_DICOMWEB_CACHE_PATH": str(folder / "dicomweb"),
        "MONAI_LABEL_SESSION_PATH": str(folder / "sessions"),
        "MONAI_LABEL_TRACKING_ENABLED": "false",
    }
    command = [
        *(sys.executable, "-m", "monailabel.main", "start_server", "--app", str(folder)),
        *("--studies", studies, "--host", HOST, "--port", str(port)),
        *("--uvicorn_app", "monai_brain.integrations.label.server:app"),
        # What it says below this names images, paths and patients.
        *("--verbose", "ERROR", "--log_level", "error"),
    ]
    server = subprocess.Popen(command, env={**settings, **os.environ})
    try:
        return server.wait()
    finally:
        if server.poll() is None:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()

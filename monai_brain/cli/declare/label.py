"""label."""

from __future__ import annotations

from typing import Any

from monai_brain.cli.command import command


def declare(commands: Any) -> None:
    """Add the command."""
    label = command(
        commands, "label", "serve the models to MONAI Label's viewers", "monai_brain.cli.label:label"
    )
    label.add_argument(
        "--studies",
        required=True,
        metavar="DIR|ADDRESS",
        help="a folder of images, or the address of a DICOMweb archive",
    )
    label.add_argument(
        "--models",
        metavar="A,B",
        help="names, bundle folders or run folders; default: every registered model",
    )
    label.add_argument(
        "--weights", action="append", default=[], metavar="MODEL=FILE|RUN", help="instead of the model's own"
    )
    label.add_argument("--port", type=int, default=8000, metavar="N", help="of 127.0.0.1; default: 8000")
    label.add_argument(
        "-o", "--output", metavar="DIR", help="the application's folder; default: ./runs/label"
    )
    label.add_argument("--write-only", action="store_true", help="write the folder and start no server")

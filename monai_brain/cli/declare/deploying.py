"""deploy."""

from __future__ import annotations

from typing import Any

from monai_brain.cli.command import command, output

FORMS = ("eager", "torchscript")


def declare(commands: Any) -> None:
    """Add the commands."""
    deploy = command(
        commands, "deploy", "models as an application of MONAI Deploy", "monai_brain.cli.deploy:deploy"
    )
    deploy.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="a name, a bundle folder or a run folder; several share one",
    )
    output(deploy, "DIR", "a new folder for the application")
    deploy.add_argument("--weights", metavar="FILE|RUN", help="instead of a single model's own weights")
    deploy.add_argument(
        "--form",
        choices=FORMS,
        default="eager",
        help="torchscript: one .ts file, no heat maps; default: eager",
    )

"""verify, install, remove, weights get."""

from __future__ import annotations

from typing import Any

from monai_brain.cli.command import Parser, command

_RUN = "monai_brain.cli.safety"


def declare(commands: Any) -> None:
    """Add the commands."""
    verify = command(
        commands,
        "verify",
        "what a bundle would run, load and reach, by reading it alone",
        f"{_RUN}:verify",
    )
    verify.add_argument("model", metavar="BUNDLE|ZIP", help="a name, a bundle folder, a run folder or a zip")
    install = command(commands, "install", "list a bundle without a package", f"{_RUN}:install")
    install.add_argument(
        "source", metavar="SOURCE", help="a bundle folder, a zip, its address, or a name in MONAI's model zoo"
    )
    install.add_argument("--trust", action="store_true", help="its code may run, and that is recorded")
    remove = command(commands, "remove", "remove a bundle that install brought", f"{_RUN}:remove")
    remove.add_argument("name", metavar="NAME", help="the model's name")
    weights = commands.add_parser("weights", help="weights that are not in git", description="Fetch weights.")
    below = weights.add_subparsers(metavar="ACTION", required=True, parser_class=Parser)
    get = command(below, "get", "fetch a model's weights and check their hash", f"{_RUN}:get_weights")
    get.add_argument("model", metavar="NAME[@VERSION]", help="a name, or a bundle folder")
    get.add_argument("--to", metavar="DIR", help="also put them there, as model.pt")
    get.add_argument("--from", dest="source", metavar="FILE", help="take a local file instead of the address")
    get.add_argument("--trust", action="store_true", help="fetch from the address that the bundle names")

"""Every command and option. The functions they call are imported when they are called."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from monai_brain import __version__
from monai_brain.cli.command import Parser, command
from monai_brain.cli.declare import (
    checking,
    data,
    deploying,
    dicom,
    experiments,
    inference,
    label,
    models,
    new_plugin,
    outputs,
    safety,
    training,
)
from monai_brain.errors import did_you_mean

if TYPE_CHECKING:
    from monai_brain.offers import Offer

# Arguments that name a bundle which the command runs, and commands that only read what they are given.
_MODELS = {"model", "models", "run", "runs", "predictions", "experiment"}
_READING = ("info", "copy", "verify", "remove", "weights")

# In the order in which --help lists them.
_FAMILIES = (
    models, data, training, experiments, inference, outputs, dicom, label, deploying, checking,
    new_plugin, safety,
)  # fmt: skip


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options of one command; `run` is the function that it calls."""
    parser, commands = build()
    named = next((word for word in argv if not word.startswith("-")), None)
    if named is None or named not in commands.choices:
        # Only now, because it costs a scan of all installed distributions.
        add_plugin_commands(commands)
    if named is not None and named not in commands.choices:
        parser.error(f"unknown command {named!r}. {did_you_mean(named, commands.choices)}")
    options = parser.parse_args(argv)
    if not hasattr(options, "run"):
        parser.print_help(sys.stdout)
        options.run = lambda _: 0
    return options


def build() -> tuple[Parser, Any]:
    """The parser with all built-in commands, and the place where further ones are added."""
    parser = Parser(
        prog="monai-brain", description="2D medical image classifiers as MONAI bundles.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"monai-brain {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=Parser)
    for family in _FAMILIES:
        family.declare(commands)
    for words, found in leaves(commands.choices):
        if words[0] not in _READING and {action.dest for action in found._actions} & _MODELS:
            found.add_argument("--trust", action="store_true", help="run the bundle's code, and record that")
    return parser, commands


def leaves(choices: Mapping[str, argparse.ArgumentParser]) -> Iterator[tuple[list[str], Any]]:
    """Each command that does something, with the words that call it."""
    for name, parser in choices.items():
        below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        if not below:
            yield [name], parser
        for action in below:
            yield from (([name, *words], found) for words, found in leaves(action.choices))


def add_plugin_commands(commands: Any) -> None:
    """Add what the plugins register; a built-in's name is never given away."""
    from monai_brain.registry import registry

    for offer in registry().commands.values():
        if offer.name not in commands.choices:
            added = command(commands, offer.name, offer.help, functools.partial(_offered, offer))
            if offer.arguments is not None:
                offer.arguments(added)


def _offered(offer: Offer, options: argparse.Namespace) -> int | None:
    status: int | None = offer.load()(options)
    return status

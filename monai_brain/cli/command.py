"""How a command is declared."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from typing import Any, NoReturn

Run = Callable[[argparse.Namespace], int | None]


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Name the mistake and where help is, and exit with 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def command(commands: Any, name: str, text: str, run: str | Run | None) -> argparse.ArgumentParser:
    """Add a command whose function is imported when it is called."""
    added: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False
    )
    added.add_argument("--json", action="store_true", help="print JSON for programs")
    added.add_argument("--debug", action="store_true", help="with an error, print the traceback")
    if run is not None:
        added.set_defaults(run=_later(run) if isinstance(run, str) else run)
    return added


def output(parser: argparse.ArgumentParser, metavar: str, text: str) -> None:
    """Add -o, which must be given."""
    parser.add_argument("-o", "--output", required=True, metavar=metavar, help=text)


def recipes(parser: argparse.ArgumentParser) -> None:
    """Add --recipe, which may be given several times."""
    parser.add_argument(
        "--recipe", dest="overlays", metavar="NAME", action="append", default=[], type=_overlay,
        help="lay configs/recipe_NAME.json, or a .json file, over the recipe: strong for the stronger one",
    )  # fmt: skip


def _overlay(name: str) -> str:
    return name if name.endswith(".json") else f"recipe_{name}"


def _later(target: str) -> Run:
    module, _, function = target.partition(":")

    def run(options: argparse.Namespace) -> int | None:
        found: Run = getattr(importlib.import_module(module), function)
        return found(options)

    return run

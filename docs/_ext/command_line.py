"""The page of commands, read off the argument parser that the program itself uses."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator

from markdown_text import code, table

from monai_brain.cli import parser as command_line

EVERYWHERE = ("help", "json", "debug")
_WIDTH = 96


def commands() -> str:
    """Every command with its usage, arguments and options."""
    return "\n\n".join(_section(name, parser) for name, parser in sorted(parsers().items()))


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command that does something, by the words that call it: `data split`, ..."""
    _, top = command_line.build()
    command_line.add_plugin_commands(top)
    return dict(_leaves(top.choices))


def arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """What a command takes, beside the options that every command has."""
    return [action for action in parser._actions if action.dest not in EVERYWHERE]


def _leaves(
    choices: dict[str, argparse.ArgumentParser], above: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for name, parser in choices.items():
        below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        if below:
            yield from _leaves(below[0].choices, f"{above}{name} ")
        else:
            yield f"{above}{name}", parser


def _section(name: str, parser: argparse.ArgumentParser) -> str:
    parser.formatter_class = functools.partial(argparse.HelpFormatter, width=_WIDTH)
    usage = parser.format_usage().removeprefix("usage: ").strip()
    parts = [f"## {name}", parser.description or "", f"```text\n{usage}\n```"]
    rows = [(_name(action), _help(action)) for action in arguments(parser)]
    if rows:
        parts.append(table(("argument", "meaning"), rows))
    return "\n\n".join(parts)


def _name(action: argparse.Action) -> str:
    values = action.metavar or ("{" + ",".join(map(str, action.choices)) + "}" if action.choices else "")
    if not action.option_strings:
        return code(values or action.dest)
    return ", ".join(code(f"{option} {values}".strip()) for option in action.option_strings)


def _help(action: argparse.Action) -> str:
    said = action.help or ""
    if action.choices and action.metavar:
        said += f" ({', '.join(map(str, action.choices))})"
    return f"{said} (required)" if action.required and action.option_strings else said

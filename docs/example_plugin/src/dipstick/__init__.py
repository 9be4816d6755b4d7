"""Urine test strips: one plugin that uses each hook of monai_brain once.

This module is imported by every `monai-brain list`: what does the work is named, and imported when it is used.
"""

import argparse

import monai_brain as mb
from monai_brain.offers import Commands, Named, RegisterBundle


@mb.hookimpl
def register_bundles(register: RegisterBundle) -> None:
    """Add the model."""
    register(mb.Bundle.in_package("dipstick.bundles", "dipstick_classification"))


@mb.hookimpl
def register_datasets(register: Named) -> None:
    """Add the reader: `monai-brain data index strips FOLDER`."""
    register("strips", "dipstick.strips:read", help="photographs of test strips, with their strips.csv")


@mb.hookimpl
def register_writers(register: Named) -> None:
    """Add the writer: `monai-brain predict` leaves a worklist.txt."""
    register("worklist", "dipstick.worklist:write", help="worklist.txt, the least certain strips first")


@mb.hookimpl
def register_exporters(register: Named) -> None:
    """Add the format: `monai-brain export MODEL --format npz`."""
    register("npz", "dipstick.npz:to_npz", help="weights.npz, the weights for programs without torch")


@mb.hookimpl
def register_commands(cli: Commands) -> None:
    """Add the command: `monai-brain draw-strips`."""
    cli.add("draw-strips", "dipstick.draw:run", help="draw made-up test strips", arguments=arguments)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Fill the command's parser."""
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="a new folder")
    parser.add_argument("--n", type=int, default=60, metavar="N", help="how many; default: 60")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all that is drawn; default: 0")

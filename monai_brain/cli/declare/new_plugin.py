"""new-plugin."""

from __future__ import annotations

from typing import Any

from monai_brain.cli.command import command


def declare(commands: Any) -> None:
    """Add the commands."""
    new = command(
        commands,
        "new-plugin",
        "an installable package around a network of your own",
        "monai_brain.cli.new_plugin:run",
    )
    new.add_argument("name", metavar="NAME", help="of the model and its package, such as kidney_stones")
    new.add_argument("folder", metavar="DIR", nargs="?", help="a new folder; default: NAME")
    new.add_argument(
        "--classes",
        metavar="A,B,C",
        help="in the order of the network's outputs; default: the four classes of the brain phantoms",
    )
    new.add_argument(
        "--network",
        metavar="timm:NAME|PATH.py:Class",
        help="a network of timm, or a class in a file, which is copied; default: a small one to replace",
    )
    new.add_argument(
        "--weights", metavar="FILE", help="the network's weights, as torch.save or safetensors wrote them"
    )
    new.add_argument(
        "--reference",
        metavar="FILE.npz",
        help="arrays input (B, C, H, W) and output (B, classes) of the network with these weights: a test",
    )
    new.add_argument("--size", type=int, default=224, metavar="N", help="side of the image; default: 224")
    new.add_argument(
        "--channels", type=int, default=1, metavar="N", help="that the network takes, 1 or 3; default: 1"
    )
    new.add_argument(
        "--mean",
        type=float,
        nargs="+",
        default=(),
        metavar="X",
        help="of each channel on 0..1; default: each image is standardised by itself",
    )
    new.add_argument("--std", type=float, nargs="+", default=(), metavar="X", help="deviation, as --mean")

"""send, listen."""

from __future__ import annotations

from typing import Any

from monai_brain.cli.command import command, output


def declare(commands: Any) -> None:
    """Add the commands."""
    send = command(commands, "send", "DICOM files to an archive, each once", "monai_brain.cli.dicom:send")
    send.add_argument("files", nargs="*", metavar="FILE", help="files or folders; none: what still waits")
    send.add_argument(
        "--to", required=True, metavar="ADDRESS", help="dicom://AET@host:port, dicoms://... or https://..."
    )
    delivery(send)
    listen = command(
        commands, "listen", "receive images from known DICOM nodes", "monai_brain.cli.dicom:listen"
    )
    listen.add_argument("address", metavar="AET@HOST:PORT", help="for example MONAI_BRAIN@127.0.0.1:11112")
    listen.add_argument(
        "--from", dest="known", action="append", default=[], metavar="AET", help="a title that may send"
    )
    output(listen, "DIR", "the folder that the files go to")
    listen.add_argument(
        "--max-mb", type=int, default=512, metavar="N", help="the largest object; default: 512"
    )
    listen.add_argument(
        "--max-folder-mb", type=int, default=51200, metavar="N", help="the fullest folder; default: 51200"
    )


def delivery(parser: Any) -> None:
    """Add how long and from where objects are sent."""
    parser.add_argument(
        "--wait", type=float, default=60, metavar="SECONDS",
        help="how long to try while nothing moves, before what is left waits in the queue; default: 60",
    )  # fmt: skip
    parser.add_argument(
        "--queue", metavar="DIR", help="what waits on disk; default: outbox in MONAI_BRAIN_HOME"
    )

"""The command line: arguments in, one room's function called, lines and an exit status out."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from monai_brain.errors import MonaiBrainError

INTERRUPTED, TERMINATED = 130, 143


class Terminated(BaseException):
    """A scheduler asked the process to end."""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status of one command; errors that a user can mend are one line."""
    from monai_brain.cli.parser import parse

    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    ours = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _terminate) if ours else None
    # Whichever reader a recipe names, MONAI's LoadImage warns that another of its readers finds no GPU codec.
    warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader")
    logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)
    try:
        options = parse(arguments)
        with _trusted(options):
            status = options.run(options)
        sys.stdout.flush()
        return int(status or 0)
    except MonaiBrainError as error:
        return _fail(error, error.exit_status, debug)
    except KeyboardInterrupt as error:
        return _fail(error, INTERRUPTED, debug, "interrupted")
    except Terminated as error:
        return _fail(error, TERMINATED, debug, "terminated")
    except BrokenPipeError:
        # The reader of our output has seen enough; nothing more may be flushed into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001  what we did not foresee is one line too, the rest with --debug
        from monai_brain import recipe

        known = recipe.failure(error)
        if known is not None:
            return _fail(error, known.exit_status, debug, str(known))
        text = f"{type(error).__name__}: {error} (run it again with --debug for the whole story)"
        return _fail(error, 1, debug, text)
    finally:
        if before is not None:  # a program that calls this goes on with its own way of ending
            signal.signal(signal.SIGTERM, before)


def _trusted(options: argparse.Namespace) -> contextlib.AbstractContextManager[None]:
    if not getattr(options, "trust", False):
        return contextlib.nullcontext()
    from monai_brain.safety import trust  # not before: listing models must stay quick

    return trust.given()


def _fail(error: BaseException, status: int, debug: bool, text: str | None = None) -> int:
    if debug:
        traceback.print_exception(error)
    print(f"monai-brain: {' '.join((text or str(error)).split())}", file=sys.stderr)
    return status


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated

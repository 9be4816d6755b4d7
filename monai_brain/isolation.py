"""What a stranger's plugin offers, asked once in a process of its own and remembered.

A plugin that hangs, crashes or ends the process then costs a line in `monai-brain list`, not the command. The
answer is kept until the distribution's version, a file of the plugin's package, or a metadata.json of its
bundles changes; a failed import is also asked again when something is installed or removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import monai_brain
from monai_brain.errors import OutputError
from monai_brain.files import write_json
from monai_brain.home import home

LIMIT = 10.0  # seconds
ASKING = "MONAI_BRAIN_ASKING"  # set in the process that is asked: it asks nobody else
_AT_ONCE = 8
_CHILD = (
    "import json, sys; given = json.loads(sys.argv[1]); sys.path[:] = given['path']; "
    "from monai_brain.probing import answer; answer(given)"
)
Answer = dict[str, Any]
Stamps = dict[str, list[int] | None]


@dataclass(frozen=True)
class Stranger:
    """A plugin from another distribution, under the name that it bears here."""

    name: str
    entry: EntryPoint

    @property
    def key(self) -> str:
        """Names the plugin, its distribution's version and place, and who asks: many share one home."""
        distribution = self.entry.dist
        version = ""
        if distribution is not None:  # a copy elsewhere of the same version may hold other code
            version = f"{distribution.name} {distribution.version} {distribution.locate_file('')}"
        python = f"{sys.prefix} {sys.version_info.major}.{sys.version_info.minor} {monai_brain.__version__}"
        return f"{self.name} = {self.entry.value} [{version}] {python}"


def ask(strangers: Sequence[Stranger], *, anew: bool = False) -> dict[str, Answer]:
    """What each plugin answers: its offers, or under "reason" why it has none.

    Args:
        strangers: the plugins.
        anew: forget what they answered before.
    """
    if not strangers or os.environ.get(ASKING):
        return {}
    cache = {} if anew else _read()
    answers = {one.name: cache[one.key]["answer"] for one in strangers if _holds(cache.get(one.key))}
    open_ = [one for one in strangers if one.name not in answers]
    if not open_:
        return answers
    with ThreadPoolExecutor(min(_AT_ONCE, len(open_))) as pool:
        asked = dict(zip(open_, pool.map(_ask, open_), strict=True))
    for one, (answer, watched) in asked.items():
        answers[one.name] = answer
        # A plugin that cannot be found yet has no file whose change would tell.
        if watched:
            failed = [*watched, *sys.path] if "reason" in answer else watched
            cache[one.key] = {"answer": answer, "files": stamps(failed)}
    with contextlib.suppress(OutputError):  # a home that cannot be written: they are asked each time
        write_json(_file(), {"schema_version": 1, "asked": cache})
    return answers


def stamps(paths: Iterable[str]) -> Stamps:
    """Time and size of each file or folder; None of one that is not there."""
    found: Stamps = {}
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116  a Path for each would double the time of a listing
            found[path] = [status.st_mtime_ns, status.st_size]
        except OSError:
            found[path] = None
    return found


def _holds(remembered: Any) -> bool:
    return remembered is not None and stamps(remembered["files"]) == remembered["files"]


def _file() -> Path:
    return home() / "plugins.json"


def _read() -> dict[str, Any]:
    """What was remembered; nothing where it cannot be read, since all of it can be asked again."""
    try:
        asked = json.loads(_file().read_text(encoding="utf-8"))["asked"]
        whole = isinstance(asked, dict) and all(
            isinstance(one, dict) and isinstance(one["files"], dict) and isinstance(one["answer"], dict)
            for one in asked.values()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return asked if whole else {}


def _ask(stranger: Stranger) -> tuple[Answer, list[str]]:
    """The answer of one plugin, and the files by which a change of it is seen."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        reply = Path(folder) / "answer.json"
        given = {
            "path": sys.path,
            "name": stranger.name,
            "value": stranger.entry.value,
            "requires": (stranger.entry.dist.requires or []) if stranger.entry.dist is not None else [],
            "answer": str(reply),
        }
        ended = _run([sys.executable, "-P", "-c", _CHILD, json.dumps(given)])
        content = _reply(reply)
    watched = [str(path) for path in content.get("files", [])]
    if isinstance(content.get("answer"), dict):
        return content["answer"], watched
    return {"reason": ended or "it ended the process before it had answered"}, watched


def _run(words: list[str]) -> str | None:
    """How the process ended, where that was not as it should."""
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, ASKING: "1"},
            start_new_session=True,  # so that what it starts ends with it
        )
    except OSError as error:
        return f"it cannot be asked: {error}"
    try:
        status = process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        return (
            f"it did not answer within {LIMIT:g} s. A hook's module must import neither torch nor MONAI. "
            "Ask again by: monai-brain list --refresh"
        )
    finally:
        _end(process)
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"it crashed: {signal.Signals(-status).name}"
    return f"it ended the process with status {status}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _reply(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}

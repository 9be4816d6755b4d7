"""How soon a listing answers."""

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.harness import Contest, Way, benchmark

_SCAN = "from importlib.metadata import entry_points; print(*entry_points(group='monai_brain'))"


@benchmark("list", "the installed models, as a process of its own")
def listing() -> Iterator[Contest]:
    yield Contest(
        Way("monai-brain list", lambda: _python("-m", "monai_brain", "list")),
        (Way("a scan of the entry points", lambda: _python("-c", _SCAN), target=0.5),),
    )


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)

"""Two ways to do the same work, timed in turns, and what is said about them.

A benchmark prepares its work and yields a Contest; the harness warms both ways up, times them one after
the other, begins with either in turn, and takes the median of the quotients. Times of one turn lie within
the same seconds, so a machine that others use too slows both.
"""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

REPEATS = 5
SCHEMA_VERSION = 1
_TELLING = {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16"}
_PACKAGES = (
    "monai",
    "monai-brain",
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "pykan",
    "torch",
    "torchvision",
)


@dataclass(frozen=True)
class Way:
    """One way to do the work.

    Attributes:
        name: What it is, in a few words.
        run: Does it once.
        units: How much of the work one call does; seconds are stated a unit.
        target: How many times as fast as this way ours shall be; None if it stands there to compare.
    """

    name: str
    run: Callable[[], Any]
    units: float = 1
    target: float | None = None


@dataclass(frozen=True)
class Contest:
    """Our way, and one or more ways beside it; the first of them is the one that the benchmark names.

    Attributes:
        ours: Our way.
        beside: The ways beside it.
        facts: What else is to be known of the figures, such as the accuracy of a faster form.
    """

    ours: Way
    beside: tuple[Way, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Taken:
    """What one call took, in seconds a unit: by the clock, and of the processors."""

    seconds: float
    cpu: float


Prepare = Callable[[], "contextlib.AbstractContextManager[Contest]"]


@dataclass(frozen=True)
class Benchmark:
    """A named benchmark: what is done, and how its contest is prepared."""

    name: str
    what: str
    prepare: Prepare


@dataclass
class Register:
    """The benchmarks by name, in the order in which they were declared."""

    found: dict[str, Benchmark] = field(default_factory=dict)

    def benchmark(self, name: str, what: str) -> Callable[[Callable[[], Iterator[Contest]]], Prepare]:
        """Register the generator function that prepares a contest, yields it, and cleans up."""

        def add(function: Callable[[], Iterator[Contest]]) -> Prepare:
            if name in self.found:
                raise ValueError(f"There is a benchmark {name!r} already.")
            prepare = contextlib.contextmanager(function)
            self.found[name] = Benchmark(name, what, prepare)
            return prepare

        return add


REGISTER = Register()
benchmark = REGISTER.benchmark


def run(case: Benchmark, repeats: int = REPEATS) -> dict[str, Any]:
    """Time one benchmark; gives its entry in the results."""
    with case.prepare() as contest:
        ways = (contest.ours, *contest.beside)
        for way in ways:
            way.run()
        taken: list[list[Taken]] = [[] for _ in ways]
        for turn in range(repeats):
            order = list(range(len(ways)))
            for index in order if turn % 2 == 0 else order[::-1]:
                taken[index].append(_taken(ways[index]))
    first, *further = [
        _beside(way, taken[0], theirs) for way, theirs in zip(ways[1:], taken[1:], strict=True)
    ]
    return {
        "name": case.name,
        "what": case.what,
        "ours": contest.ours.name,
        "repeats": repeats,
        "seconds": [one.seconds for one in taken[0]],
        "cpu_seconds": [one.cpu for one in taken[0]],
        **first,
        "further": further,
        "facts": dict(contest.facts),
    }


def _taken(way: Way) -> Taken:
    begin, worked = time.perf_counter(), _worked()
    way.run()
    return Taken((time.perf_counter() - begin) / way.units, (_worked() - worked) / way.units)


def _worked() -> float:
    """Processor time of this process and of those that it has waited for."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


def _beside(way: Way, ours: list[Taken], theirs: list[Taken]) -> dict[str, Any]:
    quotients = [their.seconds / our.seconds for our, their in zip(ours, theirs, strict=True)]
    worked = [their.cpu / our.cpu for our, their in zip(ours, theirs, strict=True) if our.cpu > 0]
    ratio = statistics.median(quotients)
    return {
        "beside": way.name,
        "ratio": ratio,
        # Nearly the same on a machine that others use; waiting, and threads that wait, do not show in it.
        "cpu_ratio": statistics.median(worked) if worked else None,
        "target": way.target,
        "met": None if way.target is None else ratio >= way.target,
        "spread": [min(quotients), max(quotients)],
        "seconds_beside": [their.seconds for their in theirs],
        "cpu_seconds_beside": [their.cpu for their in theirs],
    }


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch works with so many threads while the block runs."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def met(entry: dict[str, Any]) -> bool:
    """Whether a benchmark has reached every target that it states."""
    return all(one["met"] is not False for one in (entry, *entry["further"]))


def machine() -> dict[str, Any]:
    """Where the figures were taken."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "instructions": _instructions(),
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def compared(before: dict[str, Any], after: dict[str, Any], tolerance: float) -> list[dict[str, Any]]:
    """The ratios of two files by benchmark; `worse` where the second is too far below the first."""
    old = {entry["name"]: entry for entry in before["benchmarks"]}
    rows = []
    for entry in after["benchmarks"]:
        if entry["name"] in old:
            a, b = old[entry["name"]]["ratio"], entry["ratio"]
            worse = b < a * (1 - tolerance)
            rows.append({"name": entry["name"], "before": a, "after": b, "change": b / a, "worse": worse})
    return rows


def lines(entry: dict[str, Any]) -> Iterator[str]:
    """What a person reads of one result."""
    for one in (entry, *entry["further"]):
        low, high = one["spread"]
        goal = (
            ""
            if one["target"] is None
            else f", target {one['target']:g}: {'met' if one['met'] else 'NOT met'}"
        )
        cpu = "" if one["cpu_ratio"] is None else f"; of processor time {one['cpu_ratio']:.2f}"
        yield f"{entry['name']:16} {one['ratio']:8.2f} x {one['beside']} ({low:.2f} to {high:.2f}{cpu}){goal}"
    for name, value in entry["facts"].items():
        yield f"{'':16} {name}: {value}"


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _instructions() -> list[str]:
    """Those of the processor that the figures hang on: they decide how fast 8 and 16 bits are."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("flags"):
                return sorted(_TELLING & set(line.split()))
    return []


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None

"""docs/performance.md, made of what scripts/bench.py wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks import harness

_HEAD = """# Performance

<!-- Written by scripts/bench.py --page; change it there. -->

Every figure is a ratio: how many times as fast we are as what a reader would use instead, in one process or,
where a command starts from nothing, in the same minute. The two take turns; what is told is the median of the
quotients of {repeats} turns and, in brackets, the least and the greatest. The quotient of processor time is
told too: other programs on the machine hardly change it.

<!-- not run: a quarter of an hour on a quiet machine -->
```bash
python scripts/bench.py --json performance.json
python scripts/bench.py --page performance.json docs/performance.md
python scripts/bench.py --compare before.json after.json
```

`--only NAME ...` runs some of them, `--list` names them. `--compare` ends with status 1 where a ratio fell by
more than a tenth. The figures below were taken by `{command}` on {machine}.
"""
_HOW = """
Above 1 we are faster. The ratio of `resnet34` hangs on the processor: 8 bits are fast where it has integer
products (VNNI or AMX), and there the stem of the improved ResNet34 is laid out anew for them, with the same
results. On a GPU, `scripts/gpu_bench.py` times the trainings; see [](fast-training.md).
"""
_GROWTH = """
## As the work grows

Each size is a process of its own. The ratio is the time of one more image between the two smaller sizes over
that between the two larger ones: 1 is linear, at least 0.87 is linear within 15 %.
"""


def page(written: Mapping[str, Any]) -> str:
    """The page of one file of --json."""
    return "\n".join(_lines(written)) + "\n"


def _lines(written: Mapping[str, Any]) -> Iterator[str]:
    entries = written["benchmarks"]
    growth = [entry for entry in entries if entry["name"].startswith("scale_")]
    yield _HEAD.format(
        repeats=max((entry["repeats"] for entry in entries), default=harness.REPEATS),
        command=written["command"], machine=_machine(written["machine"]),
    )  # fmt: skip
    yield "| benchmark | beside | ratio | of processor time | target | met |"
    yield "| --- | --- | --- | --- | --- | --- |"
    others = [entry for entry in entries if entry not in growth]
    for entry in others:
        for one in (entry, *entry["further"]):
            yield _row(entry["name"] if one is entry else "", one)
    yield ""
    for entry in others:
        yield f"- `{entry['name']}`: {entry['what']}. Ours: {entry['ours']}.{_facts(entry)}"
    yield _HOW.rstrip()
    if growth:
        yield _GROWTH
        yield "| step | ratio | target | met | seconds | peak of memory, MB | bytes an image adds |"
        yield "| --- | --- | --- | --- | --- | --- | --- |"
        for entry in growth:
            facts = " | ".join(str(value) for value in entry["facts"].values())
            ratio, target = entry["ratio"], entry["target"]
            yield f"| {entry['what']} | {ratio:.2f} | {target:.2f} | {_met(entry)} | {facts} |"


def _row(name: str, one: Mapping[str, Any]) -> str:
    low, high = one["spread"]
    cpu = "" if one["cpu_ratio"] is None else f"{one['cpu_ratio']:.2f}"
    target = "" if one["target"] is None else f"{one['target']:.2g}"
    shown = f"`{name}`" if name else ""
    return (
        f"| {shown} | {one['beside']} | {one['ratio']:.2f} ({low:.2f} to {high:.2f}) | {cpu} | {target} "
        f"| {_met(one)} |"
    )


def _met(one: Mapping[str, Any]) -> str:
    return {True: "yes", False: "**no**", None: ""}[one["met"]]


def _facts(entry: Mapping[str, Any]) -> str:
    return "".join(f" {name[0].upper()}{name[1:]}: {value}." for name, value in entry["facts"].items())


def _machine(machine: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    having = ", ".join(machine["instructions"]) or "none that matter here"
    load = "" if not machine["load"] else f", load {machine['load'][0]:.1f} at the end"
    return (
        f"{machine['processor']}, {machine['cores']} cores ({having}){load}; "
        f"Python {machine['python']}, {packages}"
    )

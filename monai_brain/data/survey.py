"""Every file of a data set looked at, by several threads, as far as an earlier run has not done so."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from monai_brain.data.index_cache import IndexCache, stamp
from monai_brain.data.schema import Item, numbered
from monai_brain.data.verify import Describe, Seen, look

# The key of an item's name while it is on its way; no data set can have it.
CASE = "\0case"


def survey(
    items: Sequence[Item], known: IndexCache, describe: Describe | None, workers: int | None, progress: bool
) -> tuple[list[Item], list[Seen], int, list[str]]:
    """The items, a file of several frames frame by frame, what is known of each, and what it took.

    Returns:
        The items; what is known of each; how many were opened; the names under which they are kept.
    """
    seen, opened = _look(items, known, describe, workers, progress)
    looked = [_name(item) for item in items]
    if not any(one.frames for one in seen):
        return list(items), seen, opened, looked
    # A frame of several is an item of its own; all of them are looked at in one go.
    frames = [
        {**item, "frame": number, CASE: numbered(item[CASE], number)}
        for item, one in zip(items, seen, strict=True)
        for number in range(one.frames)
    ]
    seen_frames, more = _look(frames, known, describe, workers, progress)
    left = iter(zip(frames, seen_frames, strict=True))
    every = [
        pair
        for item, one in zip(items, seen, strict=True)
        for pair in (itertools.islice(left, one.frames) if one.frames else [(item, one)])
    ]
    looked += [_name(item) for item in frames]
    return [item for item, _ in every], [one for _, one in every], opened + more, looked


def _name(item: Mapping[str, Any]) -> str:
    return numbered(item["image"], item.get("frame"))


def _look(
    items: Sequence[Item], known: IndexCache, describe: Describe | None, workers: int | None, progress: bool
) -> tuple[list[Seen], int]:
    paths = [item["image"] for item in items]
    stamps = [stamp(path) for path in paths]
    names = [_name(item) for item in items]
    seen = {number: known.get(name, stamps[number]) for number, name in enumerate(names)}
    new = [number for number, one in seen.items() if one is None]
    # Threads: decoders and hashes let go of the interpreter's lock, and nothing has to be started.
    with ThreadPoolExecutor(workers or _processors()) as pool:
        try:
            results = pool.map(
                lambda number: look(Path(paths[number]), describe, items[number].get("frame")), new
            )
            bar = tqdm(results, "index", len(new), disable=None if progress else True, delay=2, unit="image")
            for number, one in zip(new, bar, strict=True):
                seen[number] = one
                known.put(names[number], stamps[number], one)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [one for one in seen.values() if one is not None], len(new)


def _processors() -> int:
    allowed: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1

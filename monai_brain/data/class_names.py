"""What a class of somebody's data may be called by a model."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

# The models' names, and what data sets in circulation call the same.
_SYNONYMS = {
    "complete": ("full", "good", "whole"),
    "glioma": ("astrocytoma", "gbm", "glioblastoma", "oligodendroglioma"),
    "incomplete": ("bad", "cut", "cutoff", "partial", "truncated"),
    "meningioma": ("meningeoma",),
    "no_tumor": ("control", "healthy", "negative", "no", "none", "normal"),
    "pituitary": ("pituitaryadenoma", "prolactinoma"),
}


def nearest(name: str, labels: Sequence[str]) -> str | None:
    """The one of the labels that most likely means the same, or None."""
    plain = _plain(name)
    by_plain = {_plain(label): label for label in labels}
    for label in labels:
        if plain in (_plain(label), *_SYNONYMS.get(label, ())):
            return label
    contained = [other for other in by_plain if len(other) > 3 and other in plain]
    if contained:
        return by_plain[max(contained, key=len)]
    near = difflib.get_close_matches(plain, by_plain, n=1, cutoff=0.7)
    return by_plain[near[0]] if near else None


def maps(unknown: Iterable[str], labels: Sequence[str]) -> str:
    """The options that say what the unknown names are, with a guess where there is one."""
    return " ".join(f"--map {name}={nearest(name, labels) or 'CLASS'}" for name in unknown)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower()).replace("tumour", "tumor")

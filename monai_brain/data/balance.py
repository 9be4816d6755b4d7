"""Groups dealt into bins so that every bin gets its share of every class."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence

from monai_brain.errors import ConfigurationError


def balanced(
    units: Sequence[int],
    classes: Sequence[str],
    shares: Sequence[float],
    seed: str,
    every_class: bool = True,
) -> list[int]:
    """The bin of each item: a unit is never torn apart, and each bin is near its share of each class.

    The largest units are dealt first, each to where the squared distance from the wanted counts
    shrinks most, every class weighing the same; then single units move as long as that brings the
    counts nearer. The seed draws the order among units of one size.

    Args:
        units: What the item belongs to.
        classes: What the item shows.
        shares: The wanted share of each bin; they sum to one.
        seed: The seed of the draws.
        every_class: Refuse if some class has fewer units than there are bins.

    Raises:
        ConfigurationError: There are too few units to fill the bins.
    """
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for unit, name in zip(units, classes, strict=True):
        counts[unit][name] += 1
    totals = Counter(classes)
    _check(counts, totals, len(shares), every_class)
    deal = _Deal(counts, totals, shares)
    order = sorted(counts)
    random.Random(seed).shuffle(order)  # noqa: S311  a split is no secret
    order.sort(key=lambda unit: -max(number / totals[name] for name, number in counts[unit].items()))
    for position, unit in enumerate(order):
        allowed = deal.open_to(unit, order[position:])
        deal.put(unit, min(allowed, key=lambda place: deal.cost(unit, place)))
    deal.improve(order)
    return [deal.place[unit] for unit in units]


def _check(counts: dict[int, Counter[str]], totals: Counter[str], bins: int, every_class: bool) -> None:
    if len(counts) < bins:
        raise ConfigurationError(f"{len(counts)} groups cannot fill {bins} parts. Use fewer folds.")
    for name in sorted(totals) if every_class else ():
        having = sum(name in count for count in counts.values())
        if having < bins:
            raise ConfigurationError(
                f"Class {name} has {having} groups, too few for {bins} parts. Use fewer folds."
            )


class _Deal:
    """The bins while they fill."""

    def __init__(
        self, counts: dict[int, Counter[str]], totals: Counter[str], shares: Sequence[float]
    ) -> None:
        self.counts, self.totals, self.shares = counts, totals, shares
        self.held: list[Counter[str]] = [Counter() for _ in shares]  # images of each class
        self.having: list[Counter[str]] = [Counter() for _ in shares]  # units with each class
        self.filled = [0 for _ in shares]
        self.place: dict[int, int] = {}

    def open_to(self, unit: int, left: Sequence[int]) -> list[int]:
        """The bins that the unit may go to: where units are scarce, those that have none yet."""
        every = list(range(len(self.shares)))
        bare = [i for i in every if not self.filled[i]]
        if len(bare) >= len(left):
            return bare
        for name in sorted(self.counts[unit], key=lambda name: self.totals[name]):
            lacking = [i for i in every if not self.having[i][name]]
            if lacking and len(lacking) >= sum(name in self.counts[other] for other in left):
                return lacking
        return every

    def cost(self, unit: int, place: int) -> float:
        """How much farther from its wanted counts the bin gets by the unit; below 0 is nearer."""
        change = 0.0
        for name, number in self.counts[unit].items():
            missing = self.shares[place] * self.totals[name] - self.held[place][name]
            change += (number * number - 2 * number * missing) / self.totals[name] ** 2
        return change

    def put(self, unit: int, place: int) -> None:
        """Add the unit to the bin."""
        self.place[unit] = place
        self.held[place].update(self.counts[unit])
        self.having[place].update(self.counts[unit].keys())
        self.filled[place] += 1

    def take(self, unit: int) -> int:
        """The bin that the unit has now left."""
        place = self.place.pop(unit)
        self.held[place].subtract(self.counts[unit])
        self.having[place].subtract(self.counts[unit].keys())
        self.filled[place] -= 1
        return place

    def improve(self, order: Sequence[int], rounds: int = 20) -> None:
        """Move single units to better bins, leaving no bin without a class that it had."""
        for _ in range(rounds):
            moved = False
            for unit in order:
                old = self.take(unit)
                kept = self.filled[old] and all(self.having[old][name] for name in self.counts[unit])
                best = min(range(len(self.shares)), key=lambda place: self.cost(unit, place)) if kept else old
                better = self.cost(unit, best) < self.cost(unit, old) - 1e-12
                self.put(unit, best if better else old)
                moved |= better
            if not moved:
                return

"""Tables that an experiment wrote beside its predictions, taken as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from monai_brain.reporting.sheet import Estimate, Table, plain
from monai_brain.reporting.tables import slug

_ROWS = "rows"
_NAMES = ("name", "title", "table")
_CAPTIONS = ("caption", "what", "says", "description")
_HEADERS = ("columns", "header")
_NAMED_ALREADY = ("model", "variant", "fold")
_SPELLED = {"auroc": "AUROC", "mcc": "MCC", "f1": "F1", "mcnemar": "McNemar", "flops": "FLOPs"}
_ASIDE = ("paper", "repeat", "leakage")  # shown with the figures, or by a mark of its own


@dataclass
class Recorded:
    """The tables, and all their rows that have names for their cells."""

    tables: list[Table] = field(default_factory=list)
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def recorded(content: object) -> Recorded:
    """The tables in the content of tables.json: a list of them, or an object that holds them by name."""
    found = Recorded()
    for name, table in _named(content):
        rows = [flat(row) if isinstance(row, Mapping) else row for row in table[_ROWS]]
        rows = [row for row in rows if isinstance(row, Mapping | list)]
        found.rows += [row for row in table[_ROWS] if isinstance(row, Mapping)]
        found.notes += [str(note) for note in table.get("notes") or []]
        keys = [key for key in _keys(table, rows) if any(_filled(row, key) for row in rows)]
        if not rows or not keys:
            continue
        cells = [
            [
                _cell(row.get(key) if isinstance(row, Mapping) else _at(row, place))
                for place, key in enumerate(keys)
            ]
            for row in rows
        ]
        caption = next((str(table[key]) for key in _CAPTIONS if table.get(key)), "")
        caption = f"{name}: {caption}" if caption and caption != name else name
        found.tables.append(Table(f"recorded_{slug(name)}", caption, [_words(key) for key in keys], cells))
    return found


def noted(metrics: Mapping[str, Any]) -> list[str]:
    """What an experiment's metrics.json says of itself in words, its controls among it."""
    notes = metrics.get("notes")
    says = [str(note) for note in notes] if isinstance(notes, list) else []
    controls = metrics.get("controls")
    shuffled = controls.get("shuffled_labels") if isinstance(controls, Mapping) else None
    if isinstance(shuffled, Mapping) and isinstance(shuffled.get("balanced_accuracy"), Mapping):
        found = Estimate.of(shuffled["balanced_accuracy"])
        guess = (shuffled.get("chance") or {}).get("balanced_accuracy")
        verdict = {"True": "at chance, as it must be", "False": "not at chance: something leaks"}
        end = verdict.get(str(shuffled.get("at_chance")), "no interval to judge it by")
        says.append(f"Control with shuffled labels: balanced accuracy {found}, chance {plain(guess)}: {end}.")
    return says


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the figures of ours, and the paper's beside each, as cells of their own."""
    found: dict[str, Any] = {}
    stated = row.get("paper")
    paper: Mapping[str, Any] = stated if isinstance(stated, Mapping) else {}
    for key, value in row.items():
        if key in ("ours", "difference") and isinstance(value, Mapping):
            for figure, cell in value.items():
                found[figure] = cell
                if figure in paper:
                    found[f"{figure}, paper"] = paper[figure]
        elif key == "by_patient" and isinstance(value, Mapping):
            found |= {f"{figure}, by patient": value[figure] for figure in ("accuracy",) if figure in value}
        elif key.startswith("mcnemar"):
            tested = value if isinstance(value, Mapping) else {}
            p = tested.get("p_holm", tested.get("p"))
            found[f"p, {key.replace('_', ' ')}"] = _p(p)
        elif key not in _ASIDE and not ("name" in row and key in _NAMED_ALREADY):
            found[key] = value
    return found


def _p(value: object) -> str:
    if not isinstance(value, int | float):
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _named(content: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(content, Mapping):
        inner = content.get("tables")
        if isinstance(inner, list | Mapping):
            yield from _named(inner)
            return
        pairs: Sequence[tuple[str, object]] = [(str(key), value) for key, value in content.items()]
    else:
        pairs = [("", value) for value in content] if isinstance(content, list) else []
    for number, (key, value) in enumerate(pairs, 1):
        if isinstance(value, list):
            value = {_ROWS: value}
        if isinstance(value, Mapping) and isinstance(value.get(_ROWS), list):
            told = next((str(value[name]) for name in _NAMES if isinstance(value.get(name), str)), "")
            yield told or key or f"Table {number}", value


def _keys(table: Mapping[str, Any], rows: Sequence[object]) -> list[str]:
    stated = next((table[key] for key in _HEADERS if isinstance(table.get(key), list)), None)
    if stated:
        return [
            str(key.get("key") or key.get("name")) if isinstance(key, Mapping) else str(key) for key in stated
        ]
    return list(dict.fromkeys(str(key) for row in rows if isinstance(row, Mapping) for key in row))


def _cell(value: object) -> object:
    if isinstance(value, Mapping):
        if "value" in value:
            return Estimate.of(value)
        if "difference" in value:
            return Estimate(value["difference"], value.get("low"), value.get("high"))
        return "; ".join(f"{_words(str(key))} {_cell(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(str(_cell(one)) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return Estimate(value) if isinstance(value, float) else "" if value is None else value


def _filled(row: object, key: str) -> bool:
    return not isinstance(row, Mapping) or row.get(key) not in (None, "")


def _at(row: Sequence[object], place: int) -> object:
    return row[place] if place < len(row) else None


def _words(key: str) -> str:
    words = " ".join(_SPELLED.get(word, word) for word in key.replace("_", " ").split(" "))
    return words if words.startswith("p, ") else words[:1].upper() + words[1:]

"""The CLAIM checklist: what a run answers by itself, with a link; the rest is the author's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from monai_brain.reporting.claim_answers import ANSWERS, Answer
from monai_brain.reporting.evidence import Evidence
from monai_brain.reporting.markup import Markup, joined, tag
from monai_brain.reporting.sheet import Table, scrolling

AUTHOR = "author must answer"


@dataclass(frozen=True)
class Item:
    """One item of the checklist with its answer, or None where only the author knows."""

    number: int
    part: str
    asks: str
    answer: Answer | None


def checklist(evidence: Evidence) -> tuple[dict[str, Any], list[Item]]:
    """Version and citation of the checklist, and its items answered."""
    path = resources.files("monai_brain.reporting").joinpath("claim_2024.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    items = [
        Item(
            one["number"],
            one["part"],
            one["asks"],
            ANSWERS[one["answer"]](evidence) if "answer" in one else None,
        )
        for one in content["items"]
    ]
    return content, items


def html(content: dict[str, Any], items: Sequence[Item]) -> Markup:
    """The checklist as a table, the answered items linked to where the page shows them."""
    answered = sum(item.answer is not None for item in items)
    says = (
        f"{content['version']}, {len(items)} items; {answered} answered from the files of this run, at least "
        f"in part; {len(items) - answered} only the author can answer. The questions are put in short words "
        "of our own: read the original before you submit."
    )
    rows, part = [], ""
    for item in items:
        if item.part != part:
            part = item.part
            rows.append(tag("tr", tag("th", part, colspan=3, scope="colgroup", class_="part")))
        if item.answer is None:
            cell = tag("td", tag("span", AUTHOR, class_="author"))
        else:
            link = tag(
                "a",
                "shown here",
                href=f"#{item.answer.section}",
                aria_label=f"shown here, item {item.number}",
            )
            cell = tag("td", item.answer.text, " ", link)
        rows.append(tag("tr", tag("td", item.number, class_="num"), tag("th", item.asks, scope="row"), cell))
    head = tag("tr", *(tag("th", words, scope="col") for words in ("No.", "Item", "Answer")))
    table = tag("table", tag("thead", head), tag("tbody", *rows), class_="claim")
    cited = tag("p", content["citation"], class_="cited")
    return joined(tag("p", says), scrolling(table, "CLAIM checklist"), cited)


def table(items: Sequence[Item]) -> Table:
    """The checklist as a table for other forms."""
    rows = [[item.number, item.asks, AUTHOR if item.answer is None else item.answer.text] for item in items]
    return Table("claim", "CLAIM 2024 Update", ["No.", "Item", "Answer"], rows)

"""What a reader of a made data set has to know, on one page beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from monai_brain.data.completeness_plan import PARTS, part_of


def counts(items: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """How many images each part has: by class, by fault, and of how many women."""
    found = {}
    for part in PARTS:
        mine = [item for item in items if part_of(item) == part]
        faults = Counter(item["fault"] for item in mine)
        found[part] = {
            "images": len(mine),
            "women": len({item["group"] or item["patient_id"] for item in mine}),
            **dict(sorted(Counter(item["class_name"] for item in mine).items())),
            **{f"fault_{name}": number for name, number in sorted(faults.items()) if name != "none"},
        }
    return found


def card(content: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    made = content["made"]
    low, high = made["losses"]
    rows = list(dict.fromkeys(key for part in made["counts"].values() for key in part))
    table = [
        "| | " + " | ".join(PARTS) + " |",
        "| --- |" + " ---: |" * len(PARTS),
        *(
            f"| {row} | " + " | ".join(str(made["counts"][part].get(row, 0)) for part in PARTS) + " |"
            for row in rows
        ),
    ]
    faults = ", ".join(f"`{name}`" for name in _faults(rows))
    gone = f"{len(content['left_out'])} films were left out, {len(content['rejected'])} rejected"
    return f"""# {content["name"]}

Mammograms with a whole outline, and with an outline that was cut on purpose. Research use only, not for
diagnosis. The licence of the films holds for these images too.

Made by {made["by"]}, `data incomplete`, seed {made["seed"]}, {made["size"]} pixels,
from {made["films"]} films of {made["women"]} women. {gone};
`left_out` and `rejected` in datalist.json name each with its reason.

Each film was freed of labels and markers, turned by up to ten degrees, scaled, placed, mirrored at random,
padded with exact black and averaged down: the same steps for both classes, drawn from the same ranges.
An incomplete image then lacks a share of the breast's area, spread evenly over the logarithm from {low:.0%}
to {high:.0%}; `fault` and `loss` of its item say how and how much. The edge at the chest wall, and the top
where the axilla leaves the film, count as complete. The faults: {faults}.

Women were dealt to the parts before anything was drawn: fold 0 tests, the rest trains and validates.

{chr(10).join(table)}

{_control(made["nuisance"])}
"""


def _faults(rows: Sequence[str]) -> list[str]:
    return [row.removeprefix("fault_") for row in rows if row.startswith("fault_")]


def _control(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "Nuisance control: not possible, a part is too small to hold both classes."
    names = ", ".join(f"`{name}`" for name in found["features"])
    return (
        f"Nuisance control: a logistic regression on {names} alone,\nfitted on {found['train']} images, "
        f"has the accuracy {found['accuracy']:.3f} on the {found['test']} of the test women. Above "
        f"{found['limit']:.2f}\nthe classes could be told apart without a look at the outline."
    )

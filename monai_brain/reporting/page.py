"""One self-contained HTML page about a run or an experiment: no network, no server, not even the model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from monai_brain.evaluation.intervals import DRAWS
from monai_brain.files import whole
from monai_brain.reporting import also as other_forms
from monai_brain.reporting import cases, sections
from monai_brain.reporting.document import document
from monai_brain.reporting.evidence import Evidence
from monai_brain.reporting.findings import Findings, find
from monai_brain.reporting.heat import Maps, maps
from monai_brain.reporting.markup import Markup, text
from monai_brain.reporting.pictures import names, pictures
from monai_brain.reporting.source import KINDS, read_source

MOST_PICTURES = 1000
MOST_MAPS = 200
REPORT_FILE = "report.html"


def report(
    run: str | os.PathLike[str],
    path: str | os.PathLike[str] | None = None,
    *,
    split: str | None = None,
    images: bool = True,
    most_maps: int = MOST_MAPS,
    also: Sequence[str] = (),
    device: str | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    progress: bool | None = False,
) -> Path:
    """Write one HTML page about a run or an experiment; gives its path.

    Every figure is computed from predictions.csv; training curves, manifest, images and Grad-CAM maps are
    shown where the files for them are there.

    Args:
        run: a run folder, the folder of a cross-validation, ablation, comparison, transfer or robustness
            test, or a predictions file, which needs no more than case, label and prob_<class>.
        path: the page; by default report.html in the folder, or beside the predictions file.
        split: which split is measured; by default test where there is one.
        images: whether the images of the cases stand in the page, at most 1000 of them.
        most_maps: how many of them get a Grad-CAM map, failures first, where the model is at hand.
        also: further forms, written beside the page: md, svg, png, latex, csv.
        device: where maps are computed: "cuda", "cpu"; by default the GPU where there is one.
        draws: resamples behind each interval.
        seed: the same seed gives the same page.
        progress: True or False for a bar, None for one on a terminal.

    Raises:
        DataError: There are no labelled predictions.
        UnknownNameError: There is no such further form.
        OutputError: The page cannot be written.
    """
    other_forms.check(also)
    source = read_source(run)
    found = find(source, split, draws, seed)
    order = cases.order(source.predictions)
    shown = pictures(source.predictions, source.folder, order, MOST_PICTURES) if images else {}
    called = names(source.predictions)
    wanted = [row for row in order if called[row] in shown][:most_maps]
    hidden = True if not wanted else None if progress is None else not progress
    with tqdm(total=len(wanted), unit="map", desc="report", disable=hidden) as bar:
        heat = maps(source, wanted, device, bar.update) if wanted else Maps()
    evidence = Evidence(source, found.arm, found.arms, heat)
    page = _page(found, shown, evidence)
    target = Path(path) if path is not None else source.folder / REPORT_FILE
    with whole(target) as stream:
        stream.write(page)
    other_forms.write(also, target, found, evidence)
    return target


def _page(found: Findings, shown: Mapping[str, str], evidence: Evidence) -> str:
    made = sections.all_sections(found, shown, evidence)
    return document(
        found.title,
        KINDS.get(found.source.kind, found.source.kind).capitalize(),
        _deck(found),
        found.source.disclaimer(str(found.arm.metrics["model"])),
        {key: (sections.TITLES[key], content) for key, content in made.items()},
        sections.alert(found.arm.metrics),
    )


def _deck(found: Findings) -> Markup:
    metrics: Mapping[str, Any] = found.arm.metrics
    told = found.source.manifest.get("datalist")
    data = told.get("name") if isinstance(told, dict) else None
    parts = [
        f"{len(found.arms)} models and variants" if len(found.arms) > 1 else "",
        f"{metrics['cases']['measured']:,} {metrics['split'] or ''} images".replace("  ", " "),
        f"{metrics['cases']['groups']:,} patients or groups" if metrics["cases"]["groups"] else "",
        f"data \u201c{data}\u201d" if data else "",
        f"classes {', '.join(metrics['classes'])}",
    ]
    return text(" \u00b7 ".join(part for part in parts if part))

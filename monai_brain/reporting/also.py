"""Other forms of a report, beside the page: Markdown, figures as SVG and PNG, tables as LaTeX and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from monai_brain.errors import UnknownNameError
from monai_brain.files import whole, write_whole
from monai_brain.reporting import charts, claim, data_card, methods, model_card, sheet, tables, words
from monai_brain.reporting.drawing import Drawing, svg
from monai_brain.reporting.evidence import Evidence
from monai_brain.reporting.findings import Findings

FORMS = ("md", "svg", "png", "latex", "csv")
FIGURES, TABLES = "figures", "tables"


def check(forms: Iterable[str]) -> None:
    """Refuse a form that there is not.

    Raises:
        UnknownNameError: With the nearest one that there is.
    """
    for form in forms:
        if form not in FORMS:
            raise UnknownNameError("form of a report", form, FORMS)


def write(forms: Sequence[str], page: Path, found: Findings, evidence: Evidence) -> list[Path]:
    """Write the forms into the page's folder: report.md, figures/NAME.svg, tables/NAME.tex; gives the paths.

    Raises:
        OutputError: The folder cannot be written.
    """
    folder, written = page.parent, list[Path]()
    drawings = [*found.drawings, *_matrices(found)]
    every = [*found.tables, *_cards(found, evidence)]
    for form in dict.fromkeys(forms):
        if form == "md":
            written.append(_text(page.with_suffix(".md"), markdown(found, evidence)))
        elif form == "svg":
            written += [
                _text(folder / FIGURES / f"{one.name}.svg", str(svg(one, alone=True)) + "\n")
                for one in drawings
            ]
        elif form == "png":
            written += [_picture(folder / FIGURES / f"{one.name}.png", one) for one in drawings]
        elif form == "latex":
            written += [_text(folder / TABLES / f"{one.name}.tex", sheet.latex(one)) for one in every]
        else:
            written += [
                _text(folder / TABLES / f"{one.name}.csv", sheet.comma_separated(one)) for one in every
            ]
    return written


def markdown(found: Findings, evidence: Evidence) -> str:
    """The report as Markdown: the words and all tables, without the cases."""
    metrics = found.arm.metrics
    content, items = claim.checklist(evidence)
    notes = [*metrics["notes"], *found.remarks]
    card = model_card.model(found.source, found.arm)
    parts = [
        f"# {found.title}",
        f"**{found.source.disclaimer(str(metrics['model']))}**",
        "## Summary",
        *words.summary(metrics, found.source.manifest, found.arm.paper),
        "\n".join(f"- {note}" for note in notes),
        "## Results",
        *(sheet.markdown(table) for table in found.tables),
        "## Data",
        *data_card.split_in_words(found.source, metrics),
        sheet.markdown(data_card.flow_table(data_card.flow(found.source, found.arm))),
        sheet.markdown(data_card.counts(found.arm)),
        "## Model",
        "\n".join(f"- {key}: {value}" for key, value in card.items()),
        "## Methods",
        methods.paragraph(evidence),
        f"## Checklist: {content['version']}",
        sheet.markdown(claim.table(items)),
        content["citation"],
        "## BibTeX",
        f"```bibtex\n{methods.bibtex(evidence)}\n```",
    ]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _matrices(found: Findings) -> list[Drawing]:
    metrics = found.arm.metrics
    units = {"images": metrics["by_case"], "patients": metrics["by_patient"]}
    return [
        charts.confusion(unit["confusion_matrix"]["counts"], metrics["classes"], name)
        for name, unit in units.items()
        if unit is not None
    ]


def _cards(found: Findings, evidence: Evidence) -> list[sheet.Table]:
    metrics = found.arm.metrics
    _, items = claim.checklist(evidence)
    return [
        tables.confusion_table(metrics["by_case"], metrics["classes"]),
        data_card.flow_table(data_card.flow(found.source, found.arm)),
        data_card.counts(found.arm),
        claim.table(items),
    ]


def _text(path: Path, content: str) -> Path:
    with whole(path) as stream:
        stream.write(content)
    return path


def _picture(path: Path, drawing: Drawing) -> Path:
    from monai_brain.reporting.raster import png

    write_whole(path, lambda stream: stream.write(png(drawing)))
    return path

"""The frame of every page: one file with its styles and scripts in it, that asks no network for anything."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from string import Template

from monai_brain import __version__
from monai_brain.reporting.markup import Markup, joined, tag, text

STYLES = ("page.css", "tables.css", "charts.css", "cases.css", "print.css")
SCRIPTS = ("theme.js", "overlay.js", "dialog.js", "table.js", "copy.js")
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src"


def document(
    title: str,
    kicker: str,
    deck: str,
    disclaimer: str,
    sections: Mapping[str, tuple[str, Markup]],
    alert: Markup = Markup(""),  # noqa: B008  a string, which nobody changes
) -> str:
    """A whole page.

    Args:
        title: What it is about.
        kicker: The line above the title: what kind of page it is.
        deck: The line under it.
        disclaimer: The sentence that stands above and below.
        sections: Anchor to heading and content; the first one must have the anchor "summary".
        alert: What stands above all sections.
    """
    script = "".join(asset("script", name) for name in SCRIPTS)
    hashed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    entries = (tag("li", tag("a", heading, href=f"#{key}")) for key, (heading, _) in sections.items())
    content = {
        "title": text(title),
        "policy": f"{_POLICY} 'sha256-{hashed}'",
        "style": "".join(asset("style", name) for name in STYLES),
        "script": script,
        "kicker": text(kicker),
        "deck": text(deck),
        "disclaimer": text(disclaimer),
        "leakage": alert,
        "contents": tag("ul", *entries),
        "sections": joined(*(_section(key, *section) for key, section in sections.items())),
        "version": text(__version__),
    }
    return Template(asset("", "template.html")).substitute(content)


def asset(folder: str, name: str) -> str:
    """A style, a script or the template, as text."""
    place = resources.files("monai_brain.reporting")
    return (place.joinpath(folder, name) if folder else place.joinpath(name)).read_text(encoding="utf-8")


def _section(key: str, heading: str, content: Markup) -> Markup:
    return tag("section", tag("h2", heading, id=f"{key}-title"), content, id=key,
               aria_labelledby=f"{key}-title")  # fmt: skip

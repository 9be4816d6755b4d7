"""HTML whose every text is escaped unless it was built here."""

from __future__ import annotations

import html

_ALONE = frozenset({"img", "input"})  # HTML's own; every element of SVG must be closed


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Markup:
    """The value as HTML: as it stands where it is Markup, escaped where it is anything else."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value), quote=True))


def tag(name: str, *content: object, **attributes: object) -> Markup:
    """An element with its content and attributes escaped; an attribute that is None or False is left out.

    A trailing underscore is dropped and others become hyphens: `class_`, `stroke_width`, `data_value`.
    """
    parts = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        parts.append(attribute if value is True else f'{attribute}="{text(value)}"')
    inside = "".join(text(part) for part in content)
    end = "" if name in _ALONE else f"{inside}</{name}>"
    return Markup(f"<{' '.join(parts)}>{end}")


def joined(*parts: object) -> Markup:
    """Several pieces one after another."""
    return Markup("".join(text(part) for part in parts))

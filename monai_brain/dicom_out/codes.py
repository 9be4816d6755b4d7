"""The codes that a model reports with: data of its bundle, so that any model can be reported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monai_brain.bundles import Bundle
from monai_brain.errors import ConfigurationError

# What one report is about: a series of slices (one value a class), or an exam (one group of findings a view).
SCOPES = ("series", "exam")
PRIVATE = "99"  # a scheme that begins so is nobody's but its author's
_LONGEST = {"value": 16, "scheme": 16, "meaning": 64}


@dataclass(frozen=True)
class CodeTriplet:
    """A coded concept: value, coding scheme designator, meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class ReportCodes:
    """What the metadata says under monai_brain#codes.

    Attributes:
        scope: "series" or "exam".
        classes: class name to code, for every class.
        site: the anatomy that was looked at.
        procedure: the kind of examination.
        finding: what is judged of each view; only in exams.
        body_part: DICOM's BodyPartExamined, where the source names none.
        schemes: private coding scheme to whose it is.
    """

    scope: str
    classes: Mapping[str, CodeTriplet]
    site: CodeTriplet
    procedure: CodeTriplet
    finding: CodeTriplet | None
    body_part: str
    schemes: Mapping[str, str]
    written: str


def read(bundle: Bundle) -> ReportCodes:
    """The codes of a bundle, each present and of a length that DICOM holds.

    Raises:
        ConfigurationError: The metadata has no codes, or one is missing or wrong.
    """
    given = bundle.facts.get("codes")
    if not isinstance(given, dict):
        raise ConfigurationError(
            f"{bundle.name} has no codes to report with. Write monai_brain.codes into its "
            "configs/metadata.json; docs/bundle-reference.md says how."
        )
    scope = given.get("scope", "series")
    if scope not in SCOPES:
        raise _wrong(bundle, "scope", f"is {scope!r}; it is one of {', '.join(SCOPES)}")
    classes = given.get("classes")
    classes = classes if isinstance(classes, dict) else {}
    missing = [label for label in bundle.labels if label not in classes]
    if missing:
        raise _wrong(bundle, "classes", f"has no code for {', '.join(missing)}")
    codes = {label: _code(bundle, f"classes.{label}", classes[label]) for label in bundle.labels}
    finding = _code(bundle, "finding", given.get("finding")) if scope == "exam" else None
    site, procedure = (_code(bundle, key, given.get(key)) for key in ("site", "procedure"))
    schemes = given.get("schemes") or {}
    for code in (*codes.values(), site, procedure, *([finding] if finding else [])):
        if code.scheme.startswith(PRIVATE) and not schemes.get(code.scheme):
            raise _wrong(bundle, "schemes", f"does not say whose the private scheme {code.scheme} is")
    body_part = str(given.get("body_part", "")).upper()
    written = json.dumps(given, sort_keys=True)
    return ReportCodes(scope, codes, site, procedure, finding, body_part, dict(schemes), written)


def _code(bundle: Bundle, key: str, given: Any) -> CodeTriplet:
    if not isinstance(given, dict):
        raise _wrong(bundle, key, "is missing; it is an object of value, scheme and meaning")
    for part, longest in _LONGEST.items():
        text = given.get(part)
        if not isinstance(text, str) or not 1 <= len(text) <= longest or not text.isascii() or "\\" in text:
            raise _wrong(bundle, f"{key}.{part}", f"must be 1 to {longest} ASCII letters without a backslash")
    return CodeTriplet(given["value"], given["scheme"], given["meaning"])


def _wrong(bundle: Bundle, key: str, text: str) -> ConfigurationError:
    return ConfigurationError(f"monai_brain.codes.{key} in the metadata of {bundle.name} {text}.")

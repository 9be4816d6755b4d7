"""Every check for every model as one pytest test each."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from monai_brain import registry
from monai_brain.bundles import Bundle
from monai_brain.testing.checks import CHECKS, Check, chosen, expected, run
from monai_brain.testing.outcome import CheckFailed, NotApplicable


def parametrize_with_checks(
    models: Iterable[str | os.PathLike[str] | Bundle],
    expected_failures: Mapping[str, str] | None = None,
    only: Iterable[str] | None = None,
) -> pytest.MarkDecorator:
    """A decorator for a test that takes `bundle` and `check` and calls `check(bundle)`.

    Args:
        models: registered names, bundle folders or run folders.
        expected_failures: names of checks that fail, with the reason; beside those that a bundle itself
            names under monai_brain#expected_failures. One of them that passes fails the test.
        only: names of checks; by default all.

    Raises:
        UnknownNameError: There is no such model, or no such check.

    Example:
        @parametrize_with_checks(["my_model"], expected_failures={"variants": "none of them trains yet"})
        def test_conformance(bundle, check):
            check(bundle)
    """
    cases: list[Any] = []
    for model in models:
        bundle = registry.bundle(model)
        reasons = {**expected(bundle), **(expected_failures or {})}
        for name in chosen(only, reasons):
            marks: list[Any] = []
            if name in reasons:
                marks.append(pytest.mark.xfail(reason=reasons[name], raises=CheckFailed, strict=True))
            case = functools.partial(_run, CHECKS[name])
            cases.append(pytest.param(bundle, case, marks=marks, id=f"{bundle.name}-{name}"))
    return pytest.mark.parametrize(("bundle", "check"), cases)


def _run(check: Check, bundle: Bundle) -> None:
    """The check as pytest takes it: what does not apply is skipped with its reason."""
    try:
        run(check, bundle)
    except NotApplicable as reason:
        pytest.skip(str(reason))

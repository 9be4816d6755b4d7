"""Every check that a model must meet, in order, and how they are run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from monai_brain import recipe, registry
from monai_brain.bundles import Bundle
from monai_brain.errors import ConfigurationError, MissingExtraError, MonaiBrainError, UnknownNameError
from monai_brain.safety import trust
from monai_brain.testing import (
    checks_metadata,
    checks_network,
    checks_recipes,
    checks_scope,
    checks_weights,
    checks_workflow,
)
from monai_brain.testing.outcome import CheckFailed, NotApplicable, Result

Check = Callable[[Bundle], None]

# The cheap ones and those that explain the failures of others come first.
_ORDER: tuple[Check, ...] = (
    checks_recipes.check_strict_json,
    checks_scope.check_scope,
    checks_metadata.check_metadata_complete,
    checks_metadata.check_zoo_rules,
    checks_metadata.check_import_is_light,
    checks_recipes.check_targets_locate,
    checks_recipes.check_recipe_keys,
    checks_metadata.check_metadata_true_to_network,
    checks_recipes.check_recipes_agree,
    checks_network.check_forward,
    checks_network.check_finite_gradients,
    checks_network.check_deterministic_eval,
    checks_network.check_batch_independence,
    checks_network.check_state_dict_round_trip,
    checks_network.check_one_and_three_channels,
    checks_network.check_loss_falls,
    checks_network.check_cam_layer_exists,
    checks_network.check_variants,
    checks_network.check_fused_is_equal,
    checks_weights.check_weights,
    checks_weights.check_export_parity,
    checks_workflow.check_no_network_at_import,
    checks_workflow.check_properties,
    checks_workflow.check_monai_label,
    checks_workflow.check_federated_round,
    checks_workflow.check_phantom_run,
)
CHECKS: dict[str, Check] = {check.__name__.removeprefix("check_"): check for check in _ORDER}
_UNREAD = "strict_json"


def conformance(
    model: str | os.PathLike[str] | Bundle,
    only: Iterable[str] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> list[Result]:
    """How each check of a model ended.

    Args:
        model: a registered name, a bundle folder or a run folder.
        only: names of checks; by default all.
        expected_failures: names of checks that fail, with the reason; beside those that the bundle
            itself names under monai_brain#expected_failures. One of them that passes has failed: the
            expectation is out of date.

    Raises:
        UnknownNameError: There is no such model, or no such check.
        TrustError: The bundle names code that is neither installed nor trusted.
    """
    return list(results(model, only, expected_failures))


check = conformance  # monai_brain.check: what a user asks of a model; the kit's own word is the longer one


def results(
    model: str | os.PathLike[str] | Bundle,
    only: Iterable[str] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> Iterator[Result]:
    """As `conformance`, one result after the other."""
    bundle = registry.bundle(model)
    reasons = {**expected(bundle), **(expected_failures or {})}
    names = chosen(only, reasons)
    try:
        trust.admit(bundle)
    except ConfigurationError:
        # A config that cannot be read names no code: the one check that runs nothing says what is wrong.
        found = _result(_UNREAD, bundle, None) if _UNREAD in names else None
        if found is None or found.state != "failed":
            raise
        return iter([found])
    return _until_out_of_scope(bundle, names, reasons)


def _until_out_of_scope(bundle: Bundle, names: Iterable[str], reasons: Mapping[str, str]) -> Iterator[Result]:
    for name in names:
        result = _result(name, bundle, reasons.get(name))
        yield result
        if name == "scope" and result.state == "failed":
            return  # what else is asked of a classifier says nothing about something else


def chosen(only: Iterable[str] | None, reasons: Iterable[str]) -> list[str]:
    """The names of the checks to run, in their own order.

    Raises:
        UnknownNameError: Nothing bears one of the names, or one of those for which there is a reason.
    """
    names = list(CHECKS) if only is None else list(only)
    for name in (*names, *reasons):
        if name not in CHECKS:
            raise UnknownNameError("check", name, CHECKS)
    return [name for name in CHECKS if name in names]


def expected(bundle: Bundle) -> dict[str, str]:
    """The checks that the bundle says it fails, with its reasons.

    Raises:
        ConfigurationError: A reason is missing.
    """
    found = bundle.facts.get("expected_failures", {})
    if not isinstance(found, dict) or not all(
        isinstance(reason, str) and reason for reason in found.values()
    ):
        raise ConfigurationError("monai_brain#expected_failures must give each check's name a reason.")
    return dict(found)


def _result(name: str, bundle: Bundle, reason: str | None) -> Result:
    began = time.perf_counter()
    failed = _failure(CHECKS[name], bundle)
    seconds = time.perf_counter() - began
    if isinstance(failed, NotApplicable):
        return Result(name, "not applicable", " ".join(str(failed).split()), seconds)
    if failed is not None and reason is not None:
        return Result(name, "expected failure", f"{reason} ({' '.join(str(failed).split())})", seconds)
    if failed is not None:
        return Result(name, "failed", " ".join(str(failed).split()), seconds)
    if reason is not None:
        passes = f"It passes, but is expected to fail: {reason}. Take it off the expected failures."
        return Result(name, "failed", passes, seconds)
    return Result(name, "passed", "", seconds)


def _failure(check: Check, bundle: Bundle) -> CheckFailed | NotApplicable | None:
    try:
        run(check, bundle)
    except (CheckFailed, NotApplicable) as outcome:
        return outcome
    return None


def run(check: Check, bundle: Bundle) -> None:
    """Run one check; whatever a model raises in it is a failure, a package that is not installed is none.

    Raises:
        CheckFailed: The model does not meet it.
        NotApplicable: It asks for something that the model or the machine does not have.
    """
    try:
        check(bundle)
    except (CheckFailed, NotApplicable):
        raise
    except Exception as error:
        cause = recipe.failure(error) or error
        if isinstance(cause, MissingExtraError):
            raise NotApplicable(str(cause)) from error
        text = str(cause) if isinstance(cause, MonaiBrainError) else f"{type(cause).__name__}: {cause}"
        raise CheckFailed(text) from error

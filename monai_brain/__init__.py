"""Published 2D medical image classifiers as installable, honestly evaluated MONAI bundles.

Everything public is named in `_DOORS` and loaded when it is first used (PEP 562), so that
`import monai_brain` costs nothing and needs nothing. Research use only, not for diagnosis.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monai_brain.bundles import Bundle as Bundle
    from monai_brain.data.datasets import read_dataset as read_dataset
    from monai_brain.data.splits import split as split
    from monai_brain.errors import MonaiBrainError as MonaiBrainError
    from monai_brain.evaluation.judge import evaluate as evaluate
    from monai_brain.hookspecs import hookimpl as hookimpl
    from monai_brain.inference.explain import explain as explain
    from monai_brain.inference.export import export as export
    from monai_brain.inference.predict import predict as predict
    from monai_brain.inference.weights import network as network
    from monai_brain.registry import bundle as bundle
    from monai_brain.registry import models as models
    from monai_brain.reporting.page import report as report
    from monai_brain.testing.checks import check as check
    from monai_brain.training.experiments.ablation import ablate as ablate
    from monai_brain.training.experiments.comparing import compare as compare
    from monai_brain.training.experiments.cross_validation import cross_validate as cross_validate
    from monai_brain.training.experiments.robustness import robustness as robustness
    from monai_brain.training.experiments.transfer import transfer as transfer
    from monai_brain.training.workflow import train as train

__version__ = "0.1.0"

# public name -> the room it lives in, and whether that room needs more than the standard library and pluggy
_LIGHT = {
    "Bundle": "monai_brain.bundles",
    "MonaiBrainError": "monai_brain.errors",
    "bundle": "monai_brain.registry",
    "hookimpl": "monai_brain.hookspecs",
    "models": "monai_brain.registry",
}
_HEAVY = {
    "ablate": "monai_brain.training.experiments.ablation",
    "check": "monai_brain.testing.checks",
    "compare": "monai_brain.training.experiments.comparing",
    "cross_validate": "monai_brain.training.experiments.cross_validation",
    "evaluate": "monai_brain.evaluation.judge",
    "explain": "monai_brain.inference.explain",
    "export": "monai_brain.inference.export",
    "network": "monai_brain.inference.weights",
    "predict": "monai_brain.inference.predict",
    "read_dataset": "monai_brain.data.datasets",
    "report": "monai_brain.reporting.page",
    "robustness": "monai_brain.training.experiments.robustness",
    "split": "monai_brain.data.splits",
    "train": "monai_brain.training.workflow",
    "transfer": "monai_brain.training.experiments.transfer",
}
_DOORS = _LIGHT | _HEAVY
__all__ = sorted(_DOORS)


def __getattr__(name: str) -> Any:
    if name not in _DOORS:
        raise AttributeError(f"module 'monai_brain' has no attribute {name!r}")
    return getattr(importlib.import_module(_DOORS[name]), name)


def __dir__() -> list[str]:
    # MONAI reads every attribute that dir() lists, of every module whose name begins with "monai",
    # as soon as a recipe holds a bare _target_: the heavy names must not be among them.
    return sorted([*globals(), *_LIGHT])

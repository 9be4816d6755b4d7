"""What the checklist and the methods are answered from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monai_brain.reporting.arms import Arm
from monai_brain.reporting.heat import Maps
from monai_brain.reporting.source import Source


@dataclass(frozen=True)
class Evidence:
    """What answers are made of."""

    source: Source
    arm: Arm
    arms: Sequence[Arm]
    maps: Maps

    @property
    def told(self) -> dict[str, Any]:
        """What the manifest says of the datalist."""
        told = self.source.manifest.get("datalist")
        return told if isinstance(told, dict) else {}

    @property
    def facts(self) -> dict[str, Any]:
        """The facts of the bundle."""
        return {} if self.arm.bundle is None else self.arm.bundle.facts

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the bundle."""
        return {} if self.arm.bundle is None else self.arm.bundle.metadata

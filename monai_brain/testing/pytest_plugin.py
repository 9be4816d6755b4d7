"""Fixtures for plugins' tests; pytest loads this wherever monai_brain is installed, so it is light."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from monai_brain.registry import Registry


@pytest.fixture
def isolated_registry() -> Iterator[Registry]:
    """An empty registry in place of the installed plugins'; its `add(module)` registers a plugin."""
    from monai_brain import registry

    with registry.isolated() as found:
        yield found

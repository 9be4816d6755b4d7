"""Whether a plugin or a bundle is made for this version of monai_brain."""

from __future__ import annotations

import monai_brain
from monai_brain.errors import ConfigurationError


def check_requirement(wanted: object, what: str) -> None:
    """Refuse what says that it needs another version.

    Args:
        wanted: `requires_monai_brain`, for example ">=0.1,<2"; None where nothing is asked.
        what: the plugin or model that asks.

    Raises:
        ConfigurationError: This version does not meet it, or it is no list of versions.
    """
    if wanted is None:
        return
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        fits = SpecifierSet(str(wanted)).contains(monai_brain.__version__, prereleases=True)
    except InvalidSpecifier:
        raise ConfigurationError(
            f"{what} has requires_monai_brain {wanted!r}, which is no version specifier such as '>=0.1,<2'."
        ) from None
    if not fits:
        raise ConfigurationError(
            f"{what} requires monai_brain {wanted}, this is {monai_brain.__version__}. "
            "Install a version of one that fits the other."
        )

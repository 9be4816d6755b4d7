"""One file of a data set looked at once: does it decode, what does it hold, what does it look like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_brain.data.duplicates import copy_of
from monai_brain.data.formats import read_slice
from monai_brain.data.slices import UnreadableImageError
from monai_brain.errors import MonaiBrainError
from monai_brain.files import sha256

Describe = Callable[[Path], dict[str, Any]]


@dataclass(frozen=True)
class Seen:
    """What is known of one file.

    Attributes:
        reason: Why it cannot be used, "reason: detail", or "" if it can.
        sha256: Of the whole file.
        facts: Height and width, and what the data set's own reader found in the file.
        copy: What near duplicates are searched by.
    """

    reason: str = ""
    sha256: str = ""
    facts: dict[str, Any] | None = None
    copy: np.ndarray | None = None


def look(path: Path, describe: Describe | None = None) -> Seen:
    """What is known of the file; whatever is wrong with it is a reason, never an error.

    Args:
        path: The file.
        describe: The data set's own reader of labels and identities, if they stand in the file.
    """
    try:
        image, _ = read_slice(path)
        height, width = image.shape
        facts = {**(describe(path) if describe else {}), "height": height, "width": width}
        return Seen(sha256=sha256(path), facts=facts, copy=copy_of(image))
    except UnreadableImageError as error:
        return Seen(reason=f"{error.reason}: {error.detail}")
    except MonaiBrainError as error:
        return Seen(reason=" ".join(f"not read: {error}".split()))
    except MemoryError:
        return Seen(reason="too large: it does not fit into memory")
    except Exception as error:  # noqa: BLE001  one damaged file never ends the batch
        return Seen(reason=" ".join(f"damaged: {type(error).__name__}".split()))

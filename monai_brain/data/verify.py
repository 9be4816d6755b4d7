"""One file of a data set looked at once: does it decode, what does it hold, what does it look like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_brain.data.duplicates import copy_of
from monai_brain.data.formats import read_slice
from monai_brain.data.slices import SEVERAL, UnreadableImageError
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
        frames: How many frames a file holds of which none was chosen; each is then looked at by itself.
    """

    reason: str = ""
    sha256: str = ""
    facts: dict[str, Any] | None = None
    copy: np.ndarray | None = None
    frames: int = 0


def look(path: Path, describe: Describe | None = None, frame: int | None = None) -> Seen:
    """What is known of the file; whatever is wrong with it is a reason, never an error.

    Args:
        path: The file.
        describe: The data set's own reader of labels and identities, if they stand in the file; where
            it tells how many "frames" there are, a file of several is not refused.
        frame: The frame, counting from 0.
    """
    try:
        try:
            image, _ = read_slice(path, None if frame is None else frame + 1)
        except UnreadableImageError as error:
            frames = describe(path).get("frames", 0) if describe and error.reason == SEVERAL else 0
            if frame is None and frames > 1:
                return Seen(frames=frames)
            raise
        height, width = image.shape
        facts = {**(describe(path) if describe else {}), "height": height, "width": width}
        facts.pop("frames", None)
        return Seen(sha256=sha256(path), facts=facts, copy=copy_of(image))
    except UnreadableImageError as error:
        return Seen(reason=f"{error.reason}: {error.detail}")
    except MonaiBrainError as error:
        return Seen(reason=" ".join(f"not read: {error}".split()))
    except MemoryError:
        return Seen(reason="too large: it does not fit into memory")
    except Exception as error:  # noqa: BLE001  one damaged file never ends the batch
        return Seen(reason=" ".join(f"damaged: {type(error).__name__}".split()))

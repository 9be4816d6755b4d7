"""Images of a datalist's items: the file that "image" names, and the frame of it that "frame" chooses."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import LoadImaged

from monai_brain.data.formats import chosen
from monai_brain.data.reader import SliceReader


class LoadSliced(LoadImaged):
    """MONAI's LoadImaged, which also heeds a frame: {"image": "scan.dcm", "frame": 3}.

    `image` stays a plain path, so that everything which reads datalists can read this one. Where an
    item has no frame this is LoadImaged.

    Args:
        keys: The keys of the paths.
        reader: The reader, a `SliceReader` unless given.
        frame_key: The key of the frame; one frame for all keys.
        **options: As for LoadImaged.
    """

    def __init__(
        self, keys: KeysCollection, reader: Any = None, frame_key: Hashable = "frame", **options: Any
    ) -> None:
        own = SliceReader() if reader is None else reader
        super().__init__(keys, own, **options)
        self.frame_key = frame_key
        self.options = own.options if isinstance(own, SliceReader) else SliceReader().options

    def __call__(self, data: Mapping[Hashable, Any], reader: Any = None) -> dict[Hashable, Any]:
        """The item with its images loaded."""
        frame = chosen(data, self.frame_key)
        if reader is None and frame is not None:
            options = dataclasses.replace(self.options, frame=frame)
            reader = SliceReader(options.frame, options.force, options.voi)
        return dict(super().__call__(data, reader))

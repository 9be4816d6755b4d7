"""What may be chosen of a deployed application, in its app.yaml under monai_brain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from monai_brain.dicom_out import settings as dicom_settings
from monai_brain.errors import ConfigurationError, UnknownNameError
from monai_brain.inference.names import Names


@dataclass(frozen=True)
class Settings:
    """What an application's app.yaml may say under monai_brain.

    Attributes:
        heat_maps: Also say where the evidence lies: heat maps in DICOM, pictures for other images.
        choose_series: Of DICOM files answer only the series that the bundle's rule takes.
        series_rule: From slices to a report: mean or max.
        series_number: Of the reports; heat maps take the two numbers after it.
        names: How results call an input: auto, hashed or plain.
        trusted: With commas, the digests of the code of those models that no installed package holds, and
            that the application's maker trusted.
    """

    heat_maps: bool = True
    choose_series: bool = True
    series_rule: str = "mean"
    series_number: int = 9100
    names: str = "auto"
    trusted: str = ""

    @property
    def dicom(self) -> dicom_settings.Settings:
        """What of it is of the DICOM objects."""
        return dicom_settings.Settings(rule=self.series_rule, series_number=self.series_number)


def settings(given: Mapping[str, Any]) -> Settings:
    """The settings out of an application's app.yaml.

    Raises:
        ConfigurationError: A key or a value is none that is known.
    """
    known = {field.name: type(field.default) for field in fields(Settings)}
    for key, value in given.items():
        if key not in known:
            raise UnknownNameError("key under monai_brain in app.yaml", key, known)
        if not isinstance(value, known[key]):
            raise ConfigurationError(
                f"app.yaml: monai_brain.{key} is {value!r}; expected {known[key].__name__}."
            )
    found = Settings(**given)
    Names(found.names)
    _ = found.dicom
    return found

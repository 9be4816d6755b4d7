"""What goes wrong with an image before a model sees it, in five grades: to measure how a model bears it.

Every fault takes an image on 0..255, as `ToGrey255` gives it, and hands back one on 0..255. The same
seed, case and fault give the same image, in whatever order and in however many processes; the random
numbers do not hang on the severity, so that a higher grade is more of the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms.transform import MapTransform, Transform
from monai.utils import TransformBackends, convert_data_type, convert_to_dst_type

from monai_brain.errors import ConfigurationError, UnknownNameError
from monai_brain.transforms import faults_anywhere, faults_mammography, faults_mri
from monai_brain.transforms.faults_anywhere import WHITE, Draw, Image

SEVERITIES = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class FaultKind:
    """A fault: what it is, how strong each of its five grades is, and the function that makes it.

    Attributes:
        help: What it imitates.
        grades: The strength of severity 1 to 5, in the unit that the function takes.
        draw: The image with the fault, from image, strength and random numbers.
    """

    help: str
    grades: tuple[float, float, float, float, float]
    draw: Draw


KINDS: Mapping[str, FaultKind] = {
    "rician_noise": FaultKind(
        "the noise of magnitude images; standard deviation in grey values",
        (5, 10, 20, 35, 55),
        faults_mri.rician_noise,
    ),
    "bias_field": FaultKind(
        "a coil that receives unevenly; range of the polynomial's coefficients",
        (0.15, 0.3, 0.5, 0.75, 1.0),
        faults_mri.bias_field,
    ),
    "gibbs_ringing": FaultKind(
        "a k-space cut off early; share of its radius that is missing",
        (0.45, 0.6, 0.7, 0.8, 0.87),
        faults_mri.gibbs_ringing,
    ),
    "kspace_spikes": FaultKind(
        "electric sparks: stripes; size of a spike as a share of the largest value in k-space",
        (0.08, 0.18, 0.35, 0.65, 1.1),
        faults_mri.kspace_spikes,
    ),
    "motion": FaultKind(
        "a head that moves during the scan; shift as a share of the image's side",
        (0.001, 0.0025, 0.005, 0.009, 0.015),
        faults_mri.motion,
    ),
    "ghosting": FaultKind(
        "pulsation or breathing: two displaced copies; share of the signal in each",
        (0.05, 0.1, 0.18, 0.28, 0.4),
        faults_mri.ghosting,
    ),
    "quantum_noise": FaultKind(
        "too low a dose; noise at mid-grey in grey values, less where it is darker",
        (4, 8, 14, 22, 32),
        faults_mammography.quantum_noise,
    ),
    "grid_lines": FaultKind(
        "an anti-scatter grid that stands still; height of its lines as a share of the signal",
        (0.04, 0.08, 0.14, 0.22, 0.32),
        faults_mammography.grid_lines,
    ),
    "dead_lines": FaultKind(
        "lines of the detector without a signal; share of the lines that cross the breast",
        (0.015, 0.03, 0.05, 0.08, 0.13),
        faults_mammography.dead_lines,
    ),
    "blur": FaultKind(
        "out of focus; standard deviation as a share of the image's side",
        (0.004, 0.008, 0.013, 0.02, 0.03),
        faults_anywhere.blur,
    ),
    "contrast": FaultKind(
        "another display curve; exponent of gamma above 1, or one over it, by the draw",
        (1.25, 1.5, 1.9, 2.4, 3.0),
        faults_anywhere.contrast,
    ),
    "rotation": FaultKind(
        "a tilted patient; degrees, to the one side or the other by the draw",
        (2, 5, 10, 18, 30),
        faults_anywhere.rotation,
    ),
    "jpeg": FaultKind(
        "lossy compression; quality",
        (70, 40, 22, 12, 6),
        faults_anywhere.jpeg,
    ),
    "down_sampling": FaultKind(
        "a coarser image, brought back to its size; factor",
        (1.4, 2, 3, 4.5, 6.5),
        faults_anywhere.down_sampling,
    ),
}
_EVERYWHERE = ("blur", "contrast", "rotation", "jpeg", "down_sampling")
# By DICOM's code of the modality.
FAULTS: Mapping[str, tuple[str, ...]] = {
    "MR": (
        "rician_noise",
        "bias_field",
        "gibbs_ringing",
        "kspace_spikes",
        "motion",
        "ghosting",
        *_EVERYWHERE,
    ),
    "MG": ("quantum_noise", "grid_lines", "dead_lines", *_EVERYWHERE),
}


def names(modality: str | None = None) -> tuple[str, ...]:
    """The names of all faults, or of those of one modality.

    Args:
        modality: "MR" or "MG", as DICOM calls them; all by default.

    Raises:
        UnknownNameError: No faults are known for the modality.
    """
    if modality is None:
        return tuple(KINDS)
    if modality not in FAULTS:
        raise UnknownNameError("modality", modality, FAULTS)
    return FAULTS[modality]


def apply(
    image: np.ndarray[Any, Any], name: str, severity: int, seed: int = 0, case: str | None = None
) -> Image:
    """The image with a fault, (H, W) float32 on 0..255; severity 0 gives it as it came.

    Args:
        image: (H, W) on 0..255.
        name: One of `names()`.
        severity: 0 for none, 1 to 5 for more and more.
        seed: Another seed, another draw.
        case: What tells this image from others, for example its SHA-256; by default its grey values do.
            Two cases have other noise under one seed.

    Raises:
        UnknownNameError: No fault has that name.
        ConfigurationError: The severity, seed or image is not of that form.
    """
    kind = _checked(name, severity, seed)
    plain = np.asarray(image, dtype=np.float32)
    if plain.ndim != 2 or min(plain.shape) < 2 or not np.isfinite(plain).all():
        raise ConfigurationError(
            f"An image of shape {plain.shape} was given, or one with values that are no numbers. "
            "Expected (H, W) with finite values on 0..255; ToGrey255 makes it."
        )
    if severity == 0:
        return plain.copy()
    generator = _generator(seed, name, plain.tobytes() if case is None else case.encode())
    changed = kind.draw(plain, float(kind.grades[severity - 1]), generator)
    return np.clip(changed, 0.0, WHITE).astype(np.float32)


class Fault(Transform):
    """A fault as a transform of (C, H, W) on 0..255, each channel with the same draw.

    Args:
        name: One of `names()`.
        severity: 0 for none, 1 to 5.
        seed: Another seed, another draw.
    """

    backend = [TransformBackends.NUMPY]  # noqa: RUF012  MONAI's attribute

    def __init__(self, name: str, severity: int, seed: int = 0) -> None:
        _checked(name, severity, seed)
        self.name, self.severity, self.seed = name, severity, seed

    def __call__(self, img: NdarrayOrTensor, case: str | None = None) -> NdarrayOrTensor:
        """The image with the fault, of the kind it came in. Shape: (C, H, W)."""
        pixels = np.asarray(convert_data_type(img, np.ndarray)[0], dtype=np.float32)
        if case is None:
            # One draw for all channels, also where they differ.
            case = hashlib.sha256(pixels.tobytes()).hexdigest()
        changed = [apply(channel, self.name, self.severity, self.seed, case) for channel in pixels]
        return convert_to_dst_type(np.stack(changed), img, dtype=np.float32)[0]


class Faultd(MapTransform):
    """`Fault` for the images under `keys` of a dict.

    Args:
        keys: The keys of the images.
        name: See `Fault`.
        severity: See `Fault`.
        seed: See `Fault`.
        case_key: The item's key that tells its image from others, independent of folders and machines;
            where an item lacks it, the grey values do.
        allow_missing_keys: Pass over keys that a dict lacks.
    """

    backend = Fault.backend

    def __init__(
        self,
        keys: KeysCollection,
        name: str,
        severity: int,
        seed: int = 0,
        case_key: str = "sha256",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.fault, self.case_key = Fault(name, severity, seed), case_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The dict with the fault in its images."""
        result = dict(data)
        case = str(result.get(self.case_key) or "") or None
        for key in self.key_iterator(result):
            result[key] = self.fault(result[key], case)
        return result


def _checked(name: str, severity: int, seed: int) -> FaultKind:
    if name not in KINDS:
        raise UnknownNameError("fault", name, KINDS)
    if isinstance(severity, bool) or severity not in (0, *SEVERITIES):
        raise ConfigurationError(f"severity is {severity!r}. Expected a whole number from 0 to 5.")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigurationError(f"seed is {seed!r}. Expected a whole number of at least 0.")
    return KINDS[name]


def _generator(seed: int, name: str, case: bytes) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}/{name}/".encode() + hashlib.sha256(case).digest()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))

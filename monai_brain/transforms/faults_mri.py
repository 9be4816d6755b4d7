"""Faults of MR images: noise and ringing, uneven reception, sparks, motion, pulsation.

What a scanner measures is k-space, the image's Fourier transform, line after line. Faults of the
measurement are made there, as they arise; MONAI's transforms do it where it has one.
"""

from __future__ import annotations

import cv2
import numpy as np
from monai.transforms.intensity.array import GibbsNoise, KSpaceSpikeNoise, RandBiasField, RandRicianNoise

from monai_brain.transforms.faults_anywhere import Image, one_channel

_SPIKES = 3
_POSES = 5
_TURN = 60.0  # degrees of a turn that come with a shift by one side of the image
_PERIODS = (3, 7)  # lines after which the swelling comes again; the end is excluded
_STILL = 0.1  # the share of k-space about its centre that is measured in the patient's first pose


def rician_noise(image: Image, strength: float, draw: np.random.Generator) -> Image:
    """The magnitude of the image with Gaussian noise in its real and imaginary part."""
    noise = RandRicianNoise(prob=1.0, std=strength, sample_std=False)
    noise.set_random_state(seed=_seed(draw))
    return one_channel(noise, image)


def bias_field(image: Image, strength: float, draw: np.random.Generator) -> Image:
    """The image under a smooth field, the mean of what is brighter than the mean as it was."""
    field = RandBiasField(degree=3, coeff_range=(-strength, strength), prob=1.0)
    field.set_random_state(seed=_seed(draw))
    changed = one_channel(field, image)
    bright = image > image.mean()
    if not bright.any():
        return image
    return changed * float(image[bright].mean() / max(float(changed[bright].mean()), 1e-6))


def gibbs_ringing(image: Image, strength: float, draw: np.random.Generator) -> Image:
    """The image of a k-space from which the outer share `strength` is missing."""
    return one_channel(GibbsNoise(strength), image)


def kspace_spikes(image: Image, strength: float, draw: np.random.Generator) -> Image:
    """The image with single values of k-space set to `strength` times the largest."""
    height, width = image.shape
    largest = max(float(np.abs(np.fft.fft2(image, norm="backward")).max()), 1e-6)
    changed = image.astype(np.float64)
    for _ in range(_SPIKES):
        angle, away = draw.uniform(0, 2 * np.pi), draw.uniform(0.1, 0.45)
        row = int(height / 2 + away * np.sin(angle) * height) % height
        column = int(width / 2 + away * np.cos(angle) * width) % width
        share = draw.uniform(0.2, 0.5)
        spike = KSpaceSpikeNoise((row, column), float(np.log(largest * strength * share)))
        changed += one_channel(spike, image).astype(np.float64) - image
    return changed


def motion(image: Image, strength: float, draw: np.random.Generator) -> Image:
    """The image of a k-space whose lines were measured in several poses of the patient."""
    upright = _lines_down(image, draw)
    count, side = upright.shape[0], max(upright.shape)
    shifts, turns = draw.choice([-1.0, 1.0], (_POSES, 2)), draw.uniform(-1, 1, _POSES)
    shifts *= draw.uniform(0.5, 1.5, (_POSES, 2))
    borders = np.sort(draw.uniform(0, 1, _POSES))
    measured = _lines(upright)
    position = (np.arange(count) + 0.5) / count
    for pose, begin in enumerate(borders):
        shift = strength * side * shifts[pose]
        moved = _moved(upright, shift[0], shift[1], strength * _TURN * turns[pose])
        end = borders[pose + 1] if pose + 1 < _POSES else 1.0
        when = (position >= begin) & (position < end) & (np.abs(position - 0.5) > _STILL / 2)
        measured[when] = _lines(moved)[when]
    return _magnitude(measured, upright is not image)


def ghosting(image: Image, strength: float, draw: np.random.Generator) -> Image:
    """The image with displaced copies of itself, of a k-space whose lines swell and shrink in turn."""
    upright = _lines_down(image, draw)
    count = upright.shape[0]
    period, phase = int(draw.integers(*_PERIODS)), draw.uniform(0, 2 * np.pi)
    swell = 1 + 2 * strength * np.cos(2 * np.pi * np.arange(count) / period + phase)
    return _magnitude(_lines(upright) * swell[:, None], upright is not image)


def _seed(draw: np.random.Generator) -> int:
    return int(draw.integers(2**31))


def _lines_down(image: Image, draw: np.random.Generator) -> Image:
    """The image, or its transpose, so that k-space is filled from the top down, line by line."""
    return image if draw.random() < 0.5 else np.ascontiguousarray(image.T)


def _lines(image: Image) -> Image:
    return np.fft.fftshift(np.fft.fft2(image))


def _magnitude(measured: Image, turned: bool) -> Image:
    image = np.abs(np.fft.ifft2(np.fft.ifftshift(measured)))
    return image.T if turned else image


def _moved(image: Image, right: float, down: float, degrees: float) -> Image:
    height, width = image.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    matrix[:, 2] += right, down
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR))

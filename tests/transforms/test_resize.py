"""Resized slices against OpenCV's and PyTorch's own, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from torch.nn import functional

from monai_brain.transforms.brain_crop import BrainCropd
from monai_brain.transforms.resize import ResizeSlice, ResizeSliced

RNG = np.random.default_rng(0)


def slices(*shape):
    return RNG.uniform(0, 255, shape).astype(np.float32)


def test_growing_is_bilinear():
    image = slices(2, 20, 30)
    wanted = functional.interpolate(torch.from_numpy(image)[None], (64, 64), mode="bilinear")[0]
    assert np.allclose(ResizeSlice(64)(image), wanted, atol=1e-3)


def test_shrinking_averages_what_falls_together():
    image = slices(1, 64, 96)
    wanted = image.reshape(1, 32, 2, 32, 3).mean((2, 4))
    assert np.allclose(ResizeSlice(32)(image), wanted, atol=1e-3)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy, lambda x: MetaTensor(torch.from_numpy(x))])
def test_the_kind_stays(kind):
    image = kind(slices(1, 40, 50))
    resized = ResizeSlice(16)(image)
    assert type(resized) is type(image)
    assert tuple(resized.shape) == (1, 16, 16)


@pytest.mark.parametrize("shape", [(40, 50), (150, 90), (30, 200), (64, 64)])
def test_inverse_brings_the_size_back(shape):
    smooth = np.add.outer(np.arange(shape[0]) / shape[0], np.arange(shape[1]) / shape[1]).astype(np.float32)
    resize = ResizeSlice(64)
    there = resize(MetaTensor(torch.from_numpy(smooth)[None]))
    assert [entry["class"] for entry in there.applied_operations] == ["ResizeSlice"]
    back = resize.inverse(there)
    assert tuple(back.shape) == (1, *shape)
    assert np.abs(np.asarray(back)[0] - smooth).max() < 0.03
    assert back.applied_operations == []


def test_the_record_of_earlier_transforms_is_kept_and_undone_in_turn():
    image = np.zeros((1, 100, 80), np.float32)
    image[0, 30:70, 20:60] = 200
    chain = Compose([BrainCropd("image", margin=4), ResizeSliced("image", 64)])
    given = MetaTensor(torch.from_numpy(image))
    there = chain({"image": given})["image"]
    assert given.applied_operations == []
    back = np.asarray(chain.inverse({"image": there})["image"])[0]
    assert back.shape == (100, 80)
    assert np.abs(back[34:66, 24:56] - 200).max() < 1
    assert back[:20].max() == 0
    assert back[:, 70:].max() == 0

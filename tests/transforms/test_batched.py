"""Whole batches against MONAI's transforms of single images: the same pixels, the same distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai import transforms as mt
from monai.data.meta_obj import get_track_meta, set_track_meta
from scipy import stats
from torch._subclasses.fake_tensor import FakeTensorMode

from monai_brain.transforms import batched_intensity as intensity
from monai_brain.transforms import batched_space as space
from monai_brain.transforms import batched_steps
from monai_brain.transforms.batched import batched
from monai_brain.transforms.batched_steps import NoBatchedVersionError
from monai_brain.transforms.resize import ResizeSlice, ResizeSliced

KEY = {"keys": "image"}
CLOSE = 1e-3


@pytest.fixture(autouse=True)
def plain_tensors():
    before = get_track_meta()
    set_track_meta(False)
    yield
    set_track_meta(before)


def images(count=6, channels=1, height=40, width=40, seed=0):
    """Grey levels 0..255, smooth enough to be images and rough enough to show a shift by a fraction."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 10, 10, generator=generator) * 255
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear").contiguous()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def close(found, expected, scale=255.0):
    """Equal on the scale of standardised images: the deviation of these is some 60 of 255."""
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) <= CLOSE * scale / 60


def test_crop_and_resize_gives_the_pixels_of_slicing_and_resizing():
    step = space.BatchedCropResize((24, 20), (40, 36), (40, 36), 40)
    batch = images(8, 2, 40, 36)
    draws = step.draw(8, generator())
    found = step.apply(batch, draws)
    resize = ResizeSlice(40)
    for image, one, (top, left, height, width) in zip(batch, found, draws["box"].tolist(), strict=True):
        close(one, resize(image[:, top : top + height, left : left + width]))


def test_a_crop_of_the_whole_image_changes_nothing():
    step = space.BatchedCropResize((40, 40), (40, 40), (40, 40), 40)
    batch = images()
    close(step(batch, generator()), batch)


def test_crops_are_drawn_as_monai_draws_them():
    """Every size and corner that MONAI may draw, as often, within the binomial spread."""
    monai = mt.RandScaleCrop(0.8, 1.0, random_center=True, random_size=True)
    monai.set_random_state(seed=0)
    theirs = np.zeros((4000, 4), dtype=int)
    for row in range(4000):
        monai.randomize((10, 10))
        theirs[row] = [
            *(part.start for part in monai._slices),
            *(part.stop - part.start for part in monai._slices),
        ]
    step = batched(
        [
            mt.RandScaleCropd(**KEY, roi_scale=0.8, max_roi_scale=1.0, random_size=True),
            ResizeSliced("image", 10),
        ],
        (1, 10, 10),
    ).steps[0]
    ours = step.draw(4000, generator())["box"].numpy()
    for column in range(4):
        table = [np.bincount(found[:, column], minlength=11) for found in (theirs, ours)]
        table = np.array(table)[:, np.sum(table, axis=0) > 0]
        assert ((table[0] > 0) == (table[1] > 0)).all()
        assert stats.chi2_contingency(table).pvalue > 1e-3


@pytest.mark.parametrize("axis", [0, 1, -1, None, (0, 1)])
def test_flips(axis):
    step = batched([mt.RandFlipd(**KEY, prob=0.5, spatial_axis=axis)], (1, 40, 40)).steps[0]
    batch = images(16)
    draws = step.draw(16, generator())
    assert 0 < int(draws["on"].sum()) < 16
    flip = mt.Flip(spatial_axis=axis)
    for image, one, on in zip(batch, step.apply(batch, draws), draws["on"], strict=True):
        assert torch.equal(one, flip(image) if on else image)


@pytest.mark.parametrize(
    ("mode", "padding"), [("bilinear", "border"), ("bilinear", "zeros"), ("nearest", "border")]
)
@pytest.mark.parametrize("shape", [(40, 40), (32, 44)])
def test_affine(mode, padding, shape):
    transform = mt.RandAffined(
        **KEY, prob=0.7, rotate_range=0.5, translate_range=[6, 3], scale_range=[0.2, 0.3],
        mode=mode, padding_mode=padding,
    )  # fmt: skip
    step = batched([transform], (1, *shape)).steps[0]
    batch = images(8, 1, *shape)
    draws = step.draw(8, generator())
    found = step.apply(batch, draws)
    for row in range(8):
        affine = mt.Affine(
            rotate_params=float(draws["turn"][row]),
            translate_params=draws["shift"][row].tolist(),
            scale_params=draws["scale"][row].tolist(),
            mode=mode, padding_mode=padding, image_only=True,
        )  # fmt: skip
        expected = affine(batch[row]) if draws["on"][row] else batch[row]
        if mode == "nearest":  # a place halfway between two pixels may go to either
            assert float((found[row] != expected).float().mean()) < 0.01
        else:
            close(found[row], expected)


def test_affine_draws_what_monais_ranges_say():
    transform = mt.RandAffined(
        **KEY, prob=1.0, rotate_range=0.5, translate_range=[6, (1, 2)], scale_range=[0.2, 0.3]
    )
    draws = batched([transform], (1, 40, 40)).steps[0].draw(4000, generator())
    for values, low, high in (
        (draws["turn"], -0.5, 0.5),
        (draws["shift"][:, 0], -6, 6),
        (draws["shift"][:, 1], 1, 2),
        (draws["scale"][:, 0], 0.8, 1.2),
        (draws["scale"][:, 1], 0.7, 1.3),
    ):
        assert stats.kstest(values.numpy(), "uniform", (low, high - low)).pvalue > 1e-3


def test_one_shift_moves_rows_alone_as_in_monai():
    draws = (
        batched([mt.RandAffined(**KEY, prob=1.0, translate_range=6)], (1, 40, 40))
        .steps[0]
        .draw(99, generator())
    )
    assert draws["shift"][:, 0].std() > 1
    assert not draws["shift"][:, 1].any()


def test_shift_scale_and_gamma():
    batch = images(channels=2)
    on = torch.tensor([True, False, True, True, False, True])
    values = torch.linspace(0.6, 1.8, 6)
    cases = (
        (intensity.BatchedShift(0.5, (-9, 9)), "offset", mt.ShiftIntensity),
        (
            intensity.BatchedScale(0.5, (-0.5, 0.5)),
            "factor",
            lambda x: mt.ScaleIntensity(None, None, factor=x),
        ),
        (intensity.BatchedGamma(0.5, (0.5, 2)), "gamma", mt.AdjustContrast),
    )
    for step, name, monai in cases:
        found = step.apply(batch, {"on": on, name: values})
        for row in range(6):
            close(found[row], monai(float(values[row]))(batch[row]) if on[row] else batch[row])


def test_noise_is_what_it_is_given():
    step = intensity.BatchedNoise(1.0, 2.0, (0.0, 3.0))
    batch = images()
    draws = {**step.draw(6, generator()), "noise": torch.randn(batch.shape, generator=generator(1))}
    expected = batch + 2.0 + draws["noise"] * draws["deviation"][:, None, None, None]
    close(step.apply(batch, draws), expected)
    assert torch.equal(step(batch, generator()), step(batch, generator()))
    assert not torch.equal(step(batch, generator()), step(batch, generator(1)))


@pytest.mark.parametrize("degree", [1, 3, 4])
def test_bias_field(degree):
    transform = mt.RandBiasFieldd(**KEY, prob=1.0, degree=degree, coeff_range=(0.0, 0.3))
    step = batched([transform], (2, 40, 32)).steps[0]
    batch = images(4, 2, 40, 32)
    draws = step.draw(4, generator())
    found = step.apply(batch, draws)
    monai = mt.RandBiasField(degree=degree, prob=1.0)
    for row in range(4):
        monai._do_transform = True
        monai._coeff = draws["coefficients"][row].tolist()
        close(found[row], torch.as_tensor(monai(batch[row], randomize=False)), 255 * math.e)


def test_blur_is_cut_off_where_each_sigma_says():
    step = batched(
        [mt.RandGaussianSmoothd(**KEY, prob=1.0, sigma_x=(0.25, 2.0), sigma_y=(0.1, 1.0))], (2, 40, 32)
    ).steps[0]
    batch = images(6, 2, 40, 32)
    draws = step.draw(6, generator())
    found = step.apply(batch, draws)
    for row in range(6):
        close(found[row], mt.GaussianSmooth(sigma=draws["sigma"][row].tolist())(batch[row]))


@pytest.mark.parametrize("by_channel", [False, True])
def test_standardize(by_channel):
    step = batched([mt.NormalizeIntensityd(**KEY, channel_wise=by_channel)], (2, 40, 40)).steps[0]
    batch = images(channels=2)
    batch[1] = 0
    found = step(batch, generator())
    for row in range(6):
        expected = mt.NormalizeIntensity(channel_wise=by_channel)(batch[row].clone())
        assert float((found[row] - expected).abs().max()) < 1e-5


def test_repeat_gives_the_shape_that_comes_out():
    chain = batched([mt.RepeatChanneld(**KEY, repeats=3)], (1, 40, 40))
    assert chain.shape == (3, 40, 40)
    assert chain(images(), generator()).shape == (6, 3, 40, 40)


def recipe_chain(size=16):
    """Every random transform of the recipes, each likely enough to show."""
    return [
        mt.RandScaleCropd(**KEY, roi_scale=0.7, max_roi_scale=1.0, random_center=True, random_size=True),
        ResizeSliced("image", size),
        mt.RandAffined(
            **KEY, prob=0.8, rotate_range=0.4, translate_range=[2, 2], scale_range=[0.2, 0.2],
            mode="bilinear", padding_mode="border",
        ),
        mt.RandFlipd(**KEY, prob=0.5, spatial_axis=0),
        mt.RandFlipd(**KEY, prob=0.3, spatial_axis=1),
        mt.RandBiasFieldd(**KEY, prob=0.5, coeff_range=(0.0, 0.3)),
        mt.RandAdjustContrastd(**KEY, prob=0.7, gamma=(0.4, 2.5)),
        mt.RandGaussianSmoothd(**KEY, prob=0.5, sigma_x=(0.25, 1.0), sigma_y=(0.25, 1.0)),
        mt.RandScaleIntensityd(**KEY, prob=0.5, factors=0.3),
        mt.NormalizeIntensityd(**KEY),
        mt.RandGaussianNoised(**KEY, prob=0.5, std=0.3),
        mt.RandShiftIntensityd(**KEY, prob=0.5, offsets=0.5),
        mt.RepeatChanneld(**KEY, repeats=2),
    ]  # fmt: skip


def measured(outputs):
    """Numbers of each output (B, C, H, W) that between them every transform moves."""
    first = outputs[:, 0]
    rows = torch.linspace(-1, 1, first.shape[1])[:, None]
    columns = torch.linspace(-1, 1, first.shape[2])
    return {
        "mean": first.mean(dim=(1, 2)),
        "deviation": first.std(dim=(1, 2)),
        "greatest": first.amax(dim=(1, 2)),
        "skew": (first**3).mean(dim=(1, 2)),
        "up and down": (first * rows).mean(dim=(1, 2)),
        "left and right": (first * columns).mean(dim=(1, 2)),
        "across": (first * rows * columns).mean(dim=(1, 2)),
        "roughness": first.diff(dim=1).square().mean(dim=(1, 2)),
        "corner": first[:, 1, 1],
        "centre": first[:, 8, 8],
    }


def draws_of(transforms, image, count, seed):
    chain = mt.Compose(transforms)
    chain.set_random_state(seed=seed)
    return torch.stack([chain({"image": image.clone()})["image"] for _ in range(count)])


def test_the_chain_has_the_distribution_of_monais():
    count = 1500
    image = images(1, 1, 16, 16, seed=3)[0]
    theirs = measured(draws_of(recipe_chain(), image, count, seed=1))
    chain = batched(recipe_chain(), (1, 16, 16))
    ours = measured(chain(image.expand(count, -1, -1, -1).clone(), generator(2)))
    lowest = {name: stats.ks_2samp(theirs[name], ours[name]).pvalue for name in theirs}
    assert min(lowest.values()) > 1e-3, lowest


@pytest.mark.parametrize("without", [2, 3, 5, 6, 7, 10, 11])
def test_those_numbers_show_a_transform_that_is_missing(without):
    """The comparison above would fail if one transform were left out."""
    count = 1500
    image = images(1, 1, 16, 16, seed=3)[0]
    transforms = recipe_chain()
    fewer = [*transforms[:without], *transforms[without + 1 :]]
    whole, less = (
        measured(batched(some, (1, 16, 16))(image.expand(count, -1, -1, -1).clone(), generator(seed)))
        for seed, some in ((1, transforms), (2, fewer))
    )
    assert min(stats.ks_2samp(whole[name], less[name]).pvalue for name in whole) < 1e-3


def test_working_on_all_images_as_on_a_gpu_changes_the_same_ones_in_the_same_way(monkeypatch):
    chain = batched(recipe_chain(40), (1, 40, 40))
    batch = images(16)
    some = all_ = batch
    for step in chain.steps:
        draws = step.draw(16, generator())
        if isinstance(step, intensity.BatchedNoise):
            draws["noise"] = torch.randn(some.shape, generator=generator(1))
        with monkeypatch.context() as patched:
            some = step.apply(some, draws)
            patched.setattr(batched_steps, "COUNTING", frozenset())
            all_ = step.apply(all_, draws)
        assert torch.allclose(some, all_, rtol=1e-4, atol=1e-3), type(step).__name__


def test_the_distribution_is_the_same_where_all_images_are_worked_on(monkeypatch):
    chain = batched(recipe_chain(), (1, 16, 16))
    image = images(1, 1, 16, 16, seed=3).expand(3000, -1, -1, -1).clone()
    one = measured(chain(image, generator(1)))
    monkeypatch.setattr(batched_steps, "COUNTING", frozenset())
    other = measured(chain(image, generator(2)))
    assert min(stats.ks_2samp(one[name], other[name]).pvalue for name in one) > 1e-3


def test_every_step_stays_on_a_gpu():
    """On tensors that are on a GPU but for their values: one left on the CPU would be refused."""
    chain = batched(recipe_chain(40), (1, 40, 40))
    draws = [step.draw(4, generator()) for step in chain.steps]
    with FakeTensorMode(allow_non_fake_inputs=True):
        batch = torch.empty(4, 1, 40, 40, device="cuda")
        for step, drawn in zip(chain.steps, draws, strict=True):
            there = {name: torch.empty(v.shape, dtype=v.dtype, device="cuda") for name, v in drawn.items()}
            if isinstance(step, intensity.BatchedNoise):
                there["noise"] = torch.empty_like(batch)
            batch = step.apply(batch, there)
        assert batch.device.type == "cuda"
        assert batch.shape == (4, 2, 40, 40)


@pytest.mark.parametrize(
    ("transform", "reason"),
    [
        (mt.RandGridDistortiond(**KEY), "RandGridDistortiond has no batched version"),
        (mt.Lambdad(**KEY, func=abs), "Lambdad has no batched version"),
        (mt.RandFlipd(keys=["image", "mask"]), "RandFlipd transforms image, mask"),
        (mt.RandAffined(**KEY, shear_range=0.1), "RandAffined with shear_range"),
        (mt.RandAffined(**KEY, spatial_size=(8, 8)), "RandAffined with spatial_size"),
        (mt.RandScaleCropd(**KEY, roi_scale=0.8), "no ResizeSliced after it"),
        (mt.NormalizeIntensityd(**KEY, nonzero=True), "NormalizeIntensityd with nonzero"),
        (ResizeSliced("image", 20), "ResizeSliced with images of another size"),
        (mt.RandShiftIntensityd(**KEY, offsets=1, channel_wise=True), "channel_wise"),
    ],
)
def test_what_has_no_batched_version_is_named(transform, reason):
    with pytest.raises(NoBatchedVersionError, match=reason):
        batched([transform], (1, 40, 40))

"""The second paper's augmentation: +-10 degrees, 10 % along both sides, both flips, nearest fill."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_brain import recipe, registry

SIZE = 64


@pytest.fixture(scope="module")
def steps():
    """The recipe's random steps: RandAffined, then two RandFlipd."""
    bundle = registry.bundle("brain_tumor_efficientnet_b2")
    parser = recipe.parsed(bundle, "train")
    parser["image_size"] = SIZE
    found = [parser.get_parsed_content(f"train#augmentation#{number}") for number in range(3)]
    for number, step in enumerate(found):
        step.set_random_state(seed=number)
    return found


def marked():
    """A bright dot off the centre on a ground that grows brighter to the right edge."""
    image = np.tile(np.linspace(0, 50, SIZE, dtype=np.float32), (SIZE, 1))
    image[28:36, 28:36] = 255
    return {"image": MetaTensor(torch.as_tensor(image)[None])}


def test_shift_and_rotation_reach_as_far_as_the_paper_says_and_no_farther(steps):
    affine, shifts, angles = steps[0], [], []
    for _ in range(200):
        rows, columns = np.nonzero(np.asarray(affine(marked())["image"][0]) > 150)
        shifts.append((rows.mean() - 31.5, columns.mean() - 31.5))
        grid = affine.rand_affine.rand_affine_grid
        angles.append(np.degrees(grid.rotate_params[0]))
    for along in np.array(shifts).T:  # rows and columns alike
        assert 0.07 * SIZE < np.abs(along).max() < 0.1 * SIZE + 1.5
        assert along.min() < -0.05 * SIZE
        assert along.max() > 0.05 * SIZE
    assert 8 < np.abs(angles).max() <= 10


def test_what_comes_in_from_outside_is_the_nearest_edge(steps):
    plain = np.asarray(marked()["image"][0])
    for _ in range(30):
        result = np.asarray(steps[0](marked())["image"][0])
        assert result.min() >= plain.min() - 1e-3
        assert result[:, -1].min() > 35  # zero fill would leave black beside the bright right edge


def test_flips_go_both_ways_half_of_the_time(steps):
    for step, turned in ((steps[1], np.flipud), (steps[2], np.fliplr)):
        image = {"image": MetaTensor(torch.arange(12.0).reshape(1, 3, 4))}
        flipped = sum(
            np.array_equal(np.asarray(step(image)["image"][0]), turned(np.arange(12).reshape(3, 4)))
            for _ in range(200)
        )
        assert 65 < flipped < 135

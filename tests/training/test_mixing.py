"""Mixed batches: MONAI's MixUp as oracle, areas for CutMix, and labels that metrics can read."""

from __future__ import annotations

import pytest
import torch
from monai.transforms import MixUp
from scipy import stats

from monai_brain.errors import ConfigurationError
from monai_brain.training.mixing import MixedBatch, scored
from monai_brain.transforms import batched_mix

SIZE = (12, 10)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(count=8):
    image = torch.arange(count, dtype=torch.float32)[:, None, None, None].expand(count, 1, *SIZE).clone()
    return {"image": image, "label": torch.arange(count) % 4, "case": [str(n) for n in range(count)]}


def test_mixup_is_monais_for_the_same_numbers():
    images = torch.rand(6, 2, *SIZE, generator=generator())
    mix = batched_mix.draw(6, SIZE, 0.4, 0, 1.0, generator())
    monai = MixUp(6, alpha=0.4)
    monai._params = (mix.share, mix.partner, [])
    assert torch.allclose(batched_mix.mixed(images, mix), monai(images, randomize=False), atol=1e-6)
    labels = torch.eye(6)
    expected = mix.share[:, None] * labels + (1 - mix.share[:, None]) * labels[mix.partner]
    assert torch.allclose(batched_mix.mixed(labels, mix, labels=True), expected)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_are_beta_distributed(alpha):
    shares = torch.cat(
        [batched_mix.draw(50, SIZE, alpha, 0, 1.0, generator(seed)).share for seed in range(60)]
    )
    assert stats.kstest(shares.numpy(), "beta", (alpha, alpha)).pvalue > 1e-3


def test_cutmix_takes_one_box_and_its_area_is_the_labels_share():
    images = batch()["image"]
    for seed in range(20):
        mix = batched_mix.draw(8, SIZE, 0, 1.0, 1.0, generator(seed))
        found = batched_mix.mixed(images, mix)
        for row in range(8):
            own = found[row, 0] == row
            foreign = found[row, 0] == float(mix.partner[row])
            assert bool((own | foreign).all())
            if int(mix.partner[row]) != row:
                assert float(own.float().mean()) == pytest.approx(float(mix.share[row]), abs=1e-5)
                rows, columns = (~own).any(dim=1).nonzero(), (~own).any(dim=0).nonzero()
                assert int((~own).sum()) == len(rows) * len(columns)  # one rectangle
                if len(rows):
                    assert int(rows.max() - rows.min()) + 1 == len(rows)


def test_how_often_a_batch_is_mixed_and_how():
    kinds = [batched_mix.draw(4, SIZE, 0.2, 1.0, 0.5, generator(seed)) for seed in range(600)]
    mixed = [mix for mix in kinds if mix is not None]
    cut = [mix for mix in mixed if mix.boxes is not None]
    assert stats.binomtest(len(mixed), 600, 0.5).pvalue > 1e-3
    assert stats.binomtest(len(cut), len(mixed), 0.5).pvalue > 1e-3
    assert batched_mix.draw(4, SIZE, 0.0, 0.0, 1.0, generator()) is None
    assert batched_mix.draw(4, SIZE, 0.2, 1.0, 0.0, generator()) is None


@pytest.mark.parametrize(
    ("mixup", "cutmix", "probability"), [(-1, 0, 1), (0, -1, 1), (0, 0, 1.5), (0, 0, -0.5)]
)
def test_numbers_outside_of_their_range_are_refused(mixup, cutmix, probability):
    with pytest.raises(ConfigurationError, match="must be 0 or more and mix_probability 0 to 1"):
        batched_mix.draw(4, SIZE, mixup, cutmix, probability, generator())


def test_a_batch_on_its_way_to_the_network():
    prepare = MixedBatch(4, mixup=0.4, probability=1.0)
    torch.manual_seed(0)
    image, label = prepare(batch(), "cpu")
    torch.manual_seed(0)
    again = prepare(batch(), "cpu")
    assert torch.equal(image, again[0])
    assert torch.equal(label, again[1])
    assert label.shape == (8, 4)
    assert torch.allclose(label.sum(dim=1), torch.ones(8))
    assert not torch.equal(image, batch()["image"])


def test_a_batch_that_is_left_alone_has_labels_of_the_same_form():
    image, label = MixedBatch(4, mixup=0.4, probability=0.0)(batch(), "cpu")
    assert torch.equal(image, batch()["image"])
    assert torch.equal(label, torch.eye(4).repeat(2, 1))


def test_a_metric_is_given_the_greater_share():
    scores = torch.rand(3, 4)
    for label in (torch.tensor([2, 0, 1]), torch.tensor([[0.1, 0, 0.9, 0], [1, 0, 0, 0], [0.4, 0.6, 0, 0]])):
        pred, index = scored({"pred": scores, "label": label})
        assert pred is scores
        assert index.tolist() == [2, 0, 1]

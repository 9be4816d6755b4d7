"""The running average of the weights: its arithmetic, and that it is what a run keeps."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine

from monai_brain.errors import ConfigurationError
from monai_brain.inference import weights
from monai_brain.testing.tiny import tiny_bundle
from monai_brain.training import checkpoint_files
from monai_brain.training.ema import AverageWeights
from monai_brain.training.workflow import train


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))


def follow(average, source, steps, epoch_length=100):
    """Run an engine that moves the weights by known steps; gives the weights after each."""
    seen = []

    def step(engine, batch):
        with torch.no_grad():
            for value in source.state_dict().values():
                value += 1
        seen.append({name: value.clone() for name, value in source.state_dict().items()})

    engine = Engine(step)
    average.attach(engine)
    engine.run(range(steps), max_epochs=1, epoch_length=min(steps, epoch_length))
    return seen


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_average_by_hand(decay):
    source = network()
    average = AverageWeights(source, decay)
    seen = follow(average, source, 30)
    expected = {name: value.double() for name, value in seen[0].items()}
    for number, state in enumerate(seen[1:], start=2):
        kept = min(decay, (1 + number) / (10 + number))
        expected = {name: kept * expected[name] + (1 - kept) * state[name].double() for name in expected}
    for name, value in average.network.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(value.double(), expected[name], atol=1e-4), name
        else:
            assert torch.equal(value, seen[-1][name])


def test_keys_are_the_networks_own_and_the_network_is_left_alone():
    source = network()
    average = AverageWeights(source, 0.9)
    before = {name: value.clone() for name, value in average.network.state_dict().items()}
    assert before.keys() == source.state_dict().keys()
    follow(average, source, 3)
    assert average.network is not source
    assert not any(part.requires_grad for part in average.network.parameters())
    assert all(part.requires_grad for part in source.parameters())


def test_no_decay_is_no_copy():
    source = network()
    average = AverageWeights(source, 0)
    follow(average, source, 3)
    assert average.network is source
    assert average.state_dict() == {}


def test_only_steps_of_the_optimiser_are_averaged():
    source = network()
    average = AverageWeights(source, 0.9, accumulate=4)
    follow(average, source, 10)
    assert average.updates == 3  # after the 4th, the 8th and the last iteration of the epoch


def test_state_goes_on_where_it_was():
    source = network()
    average = AverageWeights(source, 0.99)
    follow(average, source, 5)
    other = AverageWeights(network(), 0.99)
    other.load_state_dict(average.state_dict())
    other.source.load_state_dict(source.state_dict())
    follow(average, source, 5)
    follow(other, other.source, 5)
    for name, value in average.network.state_dict().items():
        assert torch.equal(value, other.network.state_dict()[name]), name


@pytest.mark.parametrize("decay", [-0.1, 1, 2])
def test_a_decay_outside_of_its_range_is_refused(decay):
    with pytest.raises(ConfigurationError, match="ema_decay must be 0 or more and below 1"):
        AverageWeights(network(), decay)


def test_a_run_keeps_the_average(brain_phantoms, tmp_path):
    tiny = tiny_bundle(tmp_path / "bundle")
    options = {"max_epochs": 1, "ema_decay": 0.9}
    run = train(tiny, brain_phantoms, 0, run_dir=tmp_path / "run", **options)
    state = checkpoint_files.last_whole(run)[1]["parts"]
    kept = weights.read(run / "models" / "model.pt")
    assert kept.keys() == state["network"].keys()
    for name, value in kept.items():
        assert torch.equal(value, state["average"]["averaged"][f"module.{name}"]), name
    assert not torch.equal(kept["head.weight"], state["network"]["head.weight"])

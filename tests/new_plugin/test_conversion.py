"""Weights of trainers are unwrapped; what is not all of the network's is refused in one line."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_brain.errors import ConfigurationError, IntegrityError, MonaiBrainError
from monai_brain.new_plugin import conversion, reference
from monai_brain.testing.tiny import TinyClassifier


@pytest.fixture
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TinyClassifier(3)


@pytest.fixture
def state():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return TinyClassifier(3).state_dict()


def prefixed(prefix, state):
    return {f"{prefix}{name}": value for name, value in state.items()}


WRAPPED = {
    "flat": lambda state: state,
    "state_dict": lambda state: {"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}},
    "model": lambda state: {"model": state},
    "both": lambda state: {"model": {"state_dict": state}},
    "module.": lambda state: prefixed("module.", state),
    "lightning": lambda state: {"state_dict": prefixed("model.", state), "global_step": 7},
    "compiled": lambda state: {"model_state_dict": prefixed("module._orig_mod.", state)},
    "half": lambda state: {
        name: value.half() if value.is_floating_point() else value for name, value in state.items()
    },
    "no counters": lambda state: {
        name: value for name, value in state.items() if not name.endswith("num_batches_tracked")
    },
}


@pytest.mark.parametrize("how", WRAPPED)
def test_unwrapped(network, state, tmp_path, how):
    torch.save(WRAPPED[how](state), tmp_path / "w.pth")
    conversion.convert(tmp_path / "w.pth", network)
    for name, value in network.state_dict().items():
        assert torch.allclose(value.double(), state[name].double(), atol=1e-3 if how == "half" else 0)


def test_safetensors(network, state, tmp_path):
    save = pytest.importorskip("safetensors.torch").save_file
    save({name: value.contiguous() for name, value in state.items()}, tmp_path / "w.safetensors")
    conversion.convert(tmp_path / "w.safetensors", network)
    assert torch.equal(network.head.weight, state["head.weight"])


MISFITS = {
    "missing": (
        lambda state: {name: value for name, value in state.items() if name != "head.bias"},
        "is not of this network: 1 tensors missing (first 'head.bias').",
    ),
    "left over": (
        lambda state: state | {"ema.decay": torch.ones(1)},
        "is not of this network: 1 tensors left over (first 'ema.decay').",
    ),
    "another": (
        lambda state: {"conv1.weight": torch.ones(2, 2)},
        "tensors missing (first 'features.0.weight'), 1 tensors left over (first 'conv1.weight').",
    ),
    "classes": (
        lambda state: TinyClassifier(5).state_dict(),
        "'head.weight' has shape (5, 16), the network takes (3, 16) (2 such tensors). Name 5 classes",
    ),
    "channels": (
        lambda state: TinyClassifier(3, in_channels=3).state_dict(),
        "'features.0.weight' has shape (8, 3, 3, 3), the network takes (8, 1, 3, 3). Say --channels 3.",
    ),
    "not finite": (
        lambda state: state | {"head.bias": torch.tensor([0.0, float("nan"), 1.0])},
        "'head.bias' holds values that are not finite.",
    ),
    "no tensors": (lambda state: {"lr": 0.1}, "holds no state_dict"),
    "empty": (lambda state: {}, "holds no state_dict"),
    "a list": (lambda state: [1, 2], "holds no state_dict"),
}


@pytest.mark.parametrize("what", MISFITS)
def test_misfits(network, state, tmp_path, what):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.save(MISFITS[what][0](state), tmp_path / "w.pth")
    with pytest.raises(MonaiBrainError) as told:
        conversion.convert(tmp_path / "w.pth", network)
    assert MISFITS[what][1] in str(told.value)
    assert "\n" not in str(told.value)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_pickled_network_is_not_run(network, tmp_path):
    torch.save(network, tmp_path / "w.pth")
    with pytest.raises(IntegrityError, match=r"holds more than tensors and was not loaded"):
        conversion.convert(tmp_path / "w.pth", network)
    (tmp_path / "w.pth").write_bytes((tmp_path / "w.pth").read_bytes()[:500])
    with pytest.raises(IntegrityError, match="cannot be read as weights"):
        conversion.convert(tmp_path / "w.pth", network)


class TestReference:
    @pytest.fixture
    def answered(self, network):
        images = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            return images.numpy(), network.eval()(images).numpy()

    def held(self, network, path, **arrays):
        np.savez(path, **arrays)
        return reference.hold(reference.read(path), network, path)

    def test_the_same_answer(self, network, answered, tmp_path):
        images, logits = answered
        assert self.held(network, tmp_path / "r.npz", input=images, output=logits) < 1e-6
        assert self.held(network, tmp_path / "r.npz", input=images[0], output=logits[0]) < 1e-6

    def test_another_answer(self, network, answered, tmp_path):
        images, logits = answered
        for arrays, says in (
            ({"input": images, "output": logits + 0.01}, r"differs from .* by up to 0\.01"),
            (
                {"input": images, "output": logits[:, :2]},
                r"has an output \(2, 2\), the network gives \(2, 3\)",
            ),
            ({"input": images[:, [0, 0, 0]], "output": logits}, "does not take the input"),
        ):
            with pytest.raises(MonaiBrainError, match=says):
                self.held(network, tmp_path / "r.npz", **arrays)
        probabilities = torch.from_numpy(logits).softmax(dim=1).numpy()
        with pytest.raises(MonaiBrainError, match=r"is probabilities\. Give the logits"):
            self.held(network, tmp_path / "r.npz", input=images, output=probabilities)

    def test_files_that_are_none(self, answered, tmp_path):
        path = tmp_path / "r.npz"
        images, logits = answered
        np.savez(path, x=images, y=logits)
        with pytest.raises(
            ConfigurationError, match=r"holds x, y\. Expected the arrays 'input' and 'output'"
        ):
            reference.read(path)
        np.savez(path, input=images, output=logits[:1])
        with pytest.raises(ConfigurationError, match="Expected images"):
            reference.read(path)
        np.savez(path, input=np.array([{"a": 1}]), output=logits)
        with pytest.raises(ConfigurationError, match=r"cannot be read as an \.npz file of numbers"):
            reference.read(path)
        for content in (b"", b"PK\x03\x04 and no more"):
            path.write_bytes(content)
            with pytest.raises(ConfigurationError, match=r"cannot be read as an \.npz file of numbers"):
                reference.read(path)
        with pytest.raises(ConfigurationError, match=r"cannot be read as an \.npz file of numbers"):
            reference.read(tmp_path / "gone.npz")

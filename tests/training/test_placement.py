"""Layout, compilation, precision and accumulation: settings that change speed and nothing else."""

from __future__ import annotations

import copy

import pytest
import torch

from monai_brain.errors import ConfigurationError
from monai_brain.inference.inferer import MixedPrecisionInferer
from monai_brain.testing.tiny import TinyClassifier, tiny_bundle
from monai_brain.training import checkpoint_files, placement
from monai_brain.training.decay import groups
from monai_brain.training.workflow import train

CPU = torch.device("cpu")


def test_channels_last_gives_the_same_function():
    torch.manual_seed(0)
    network = TinyClassifier(4, in_channels=3).eval()
    images = torch.rand(2, 3, 32, 32)
    expected = network(images)
    last = placement.placed(copy.deepcopy(network), "cpu", channels_last=True)
    assert last.features[3].weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(last(images), expected, atol=1e-5)
    plain = placement.placed(copy.deepcopy(network), "cpu", channels_last="auto")
    assert plain.features[3].weight.is_contiguous()


def test_a_compiled_network_has_the_same_keys_and_can_be_copied():
    network = TinyClassifier(4)
    keys = list(network.state_dict())
    found = placement.placed(network, "cpu", compile=True)
    assert found is network
    assert found._compiled_call_impl is not None
    assert list(found.state_dict()) == keys
    assert list(copy.deepcopy(found).state_dict()) == keys
    with torch.compiler.set_stance("force_eager"):
        assert found(torch.zeros(1, 1, 32, 32)).shape == (1, 4)


@pytest.mark.slow
def test_a_compiled_network_trains(brain_phantoms, tmp_path, monkeypatch):
    """Through a real compiler, where the machine has one."""
    monkeypatch.setattr("torch._inductor.config.compile_threads", 1)  # a pool of them takes longer to start
    try:
        torch.compile(lambda x: x + 1)(torch.zeros(2))
    except Exception as error:  # noqa: BLE001  no compiler shows in many ways
        pytest.skip(f"torch.compile does not work here: {str(error)[:80]}")
    options = {"max_epochs": 1, "compile": True, "ema_decay": 0.9}
    run = train(tiny_bundle(tmp_path / "bundle"), brain_phantoms, 0, run_dir=tmp_path / "run", **options)
    for state in (
        torch.load(run / "models" / "model.pt", weights_only=True),
        checkpoint_files.last_whole(run)[1]["parts"]["network"],
    ):
        assert not [key for key in state if "_orig_mod" in key]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"channels_last": "maybe"}, "takes auto, true or false"),
        ({"compile": "fast"}, "takes true, false or a mode: default, reduce-overhead"),
    ],
)
def test_settings_are_named(options, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        placement.placed(TinyClassifier(4), "cpu", **options)


def test_what_depends_on_the_device():
    assert placement.fused("cpu") is None
    assert placement.fused("cuda:1") is True
    assert [placement.scaled(amp) for amp in ("auto", True, False, "bf16", "fp16")] == [False] * 4 + [True]


@pytest.mark.parametrize(
    ("amp", "device", "training", "kind"),
    [
        (True, "cpu", True, torch.bfloat16),
        ("bf16", "cpu", False, torch.bfloat16),
        (False, "cuda", True, None),
        ("auto", "cpu", True, None),
        ("auto", "cuda", False, None),
        ("auto", "cuda", True, torch.bfloat16),
        ("fp16", "cuda", True, torch.float16),
        (True, "cuda", False, torch.bfloat16),
    ],
)
def test_precision(amp, device, training, kind, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert MixedPrecisionInferer(amp).precision(torch.device(device), training) is kind


def test_a_gpu_without_bf16_trains_in_single_precision(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: False)
    assert MixedPrecisionInferer("auto").precision(torch.device("cuda"), True) is None


def test_precision_that_cannot_be_is_refused():
    with pytest.raises(ConfigurationError, match="amp=fp16 needs a GPU"):
        MixedPrecisionInferer("fp16")(torch.zeros(1, 1, 8, 8), TinyClassifier(2))
    for amp in ("maybe", 1, None):
        with pytest.raises(ConfigurationError, match="takes auto, true, false, bf16 or fp16"):
            MixedPrecisionInferer(amp)


def test_autocast_gives_single_precision_close_to_the_network():
    torch.manual_seed(0)
    network = TinyClassifier(4).eval()
    images = torch.rand(2, 1, 32, 32)
    found = MixedPrecisionInferer(True)(images, network)
    assert found.dtype == torch.float32
    assert not torch.equal(found, network(images))
    assert torch.allclose(found, network(images), atol=0.02)


def test_decay_is_for_kernels_and_matrices_alone():
    network = TinyClassifier(4)
    network.head.weight.requires_grad_(False)
    decayed, plain = groups(network, 0.05)
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.05, 0.0)
    assert {part.ndim for part in decayed["params"]} == {4}
    assert {part.ndim for part in plain["params"]} == {1}
    trained = sum(part.requires_grad for part in network.parameters())
    assert len(decayed["params"]) + len(plain["params"]) == trained


def test_accumulated_batches_train_as_one(brain_phantoms, tmp_path):
    """Where BatchNorm's statistics are not those of a batch, two halves are the whole."""
    tiny = tiny_bundle(tmp_path / "bundle")
    still = "$__import__('tests.training.test_placement', fromlist=['Still']).Still()"
    states = []
    for size in (16, 8):
        run = train(
            tiny, brain_phantoms, 0, run_dir=tmp_path / str(size), batch_size=size, accumulate=16 // size,
            max_epochs=1, flip_probability=0, **{"train#dataloader#shuffle": False, "train#inferer": still},
        )  # fmt: skip
        states.append(checkpoint_files.last_whole(run)[1]["parts"]["network"])
    whole, halves = states
    for name, value in whole.items():
        assert torch.allclose(value.float(), halves[name].float(), atol=1e-4), name


class Still(MixedPrecisionInferer):
    """Forward passes whose BatchNorms use running statistics, so that a batch is the sum of its images."""

    def __call__(self, inputs, network, *args, **kwargs):
        network.eval()
        return super().__call__(inputs, network, *args, **kwargs)

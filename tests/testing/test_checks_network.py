"""A model's network: each check refuses one that is broken in its one way, and says what to change."""

import re

import pytest

from monai_brain.testing.checks import CHECKS, run
from monai_brain.testing.outcome import NotApplicable
from tests.testing.conftest import refused

UNUSED = """
def __init__(self, *args, **more):
    super().__init__(*args, **more)
    self.spare = nn.Linear(2, 2)
"""


PLAIN_TENSOR = """
def __init__(self, *args, **more):
    super().__init__(*args, **more)
    self.offset = torch.randn(4)
def forward(self, x):
    return super().forward(x) + self.offset
"""


WRAPPER = """
def __init__(self, *args, **more):
    nn.Module.__init__(self)
    self.module = TinyClassifier(*args, **more)
def forward(self, x):
    return self.module(x)
"""


CHANNELS_APART = """
def forward(self, x):
    return super().forward(x * torch.arange(1.0, 1 + x.shape[1]).reshape(1, -1, 1, 1))
"""


OWN_FUSE = """
def fuse(self):
    return TinyClassifier(4).eval()
"""


def forward(expression):
    return f"def forward(self, x):\n    return {expression}"


@pytest.mark.parametrize(
    ("name", "body", "sentence"),
    [
        ("forward", forward("super().forward(x).softmax(1)"), "Take the softmax off the network"),
        ("forward", forward("super().forward(x)[:, :3]"), r"4 images give \(4, 3\), expected \(4, 4\)"),
        ("forward", forward("super().forward(x) / 0"), "not all finite"),
        ("forward", forward("[super().forward(x)]"), "gives list .* logits"),
        (
            "forward",
            forward("super().forward(x.flatten(1))"),
            "does not take images 4 x 1 x 32 x 32: RuntimeError",
        ),
        (
            "finite_gradients",
            UNUSED,
            "No gradient reaches spare.weight, spare.bias. Use it in forward, freeze it",
        ),
        (
            "finite_gradients",
            forward("super().forward(x) + (self.head.weight * 0).sum().sqrt()"),
            "is not finite",
        ),
        ("deterministic_eval", forward("super().forward(x) + torch.rand(())"), "depend on self.training"),
        (
            "batch_independence",
            forward("super().forward(x) - super().forward(x).mean(0)"),
            "beside it in the batch",
        ),
        ("state_dict_round_trip", PLAIN_TENSOR, "Register everything .* as a parameter or a buffer"),
        ("state_dict_round_trip", WRAPPER, "names of a wrapper: module.features"),
        ("one_and_three_channels", CHANNELS_APART, "Let only plain convolutions read the image"),
        ("loss_falls", forward("super().forward(x) * 0"), "took the loss from 1.386 to 1.386"),
        ("fused_is_equal", OWN_FUSE, "Mend the network's own fuse"),
    ],
)
def test_network(model, name, body, sentence):
    assert re.search(sentence, refused(model.network(body), name))


def test_one_and_three_channels_asks_for_the_argument(model):
    model.edit("train", {"network_def#in_channels": 1})
    assert 'network_def of configs/train.json does not take "@in_channels"' in refused(
        model, "one_and_three_channels"
    )


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (
            "layer4",
            "'layer4', which the network has not. Name its last spatial layer; it ends with .*features.6",
        ),
        ("head", "whose output is a map"),
        ("spare", "No gradient of the logits reaches layer 'spare'"),
    ],
)
def test_cam_layer_exists(model, layer, sentence):
    model.network(
        """
def __init__(self, *args, **more):
    super().__init__(*args, **more)
    self.spare = nn.Conv2d(1, 1, 1)
def forward(self, x):
    self.spare(x)
    return super().forward(x)
"""
    )
    assert re.search(
        sentence, refused(model.edit("metadata", {"monai_brain#cam_layer": layer}), "cam_layer_exists")
    )


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"network_def#depth": 3}, "Variant 'odd' sets network_def#depth, which configs/train.json has not"),
        ({"network_def#width": -1}, "cannot be built with .*variant=odd"),
        ({"network_def#num_classes": 3}, r"Variant 'odd' gives \(4, 3\) for 4 images and 4 classes"),
    ],
)
def test_variants(model, overrides, sentence):
    model.edit("metadata", {"monai_brain#variants": {"odd": overrides}})
    assert re.search(sentence, refused(model, "variants"))


def test_variants_do_not_apply_where_there_are_none(model):
    with pytest.raises(NotApplicable, match="names no variants"):
        run(CHECKS["variants"], model.edit("metadata", {"monai_brain#variants": {}}).bundle)

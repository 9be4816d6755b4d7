"""Parameters and operations, held against counts by hand and published figures."""

from pathlib import Path

import monai_brain_bundles
import pytest
import torch
from torch import nn

from monai_brain.bundles import Bundle
from monai_brain.errors import ConfigurationError
from monai_brain.inference.cost import Cost, cost
from monai_brain.inference.weights import network

BUNDLES = sorted(
    path.parent.parent for path in Path(monai_brain_bundles.__path__[0]).glob("*/configs/metadata.json")
)


def test_a_convolution():
    # 12 outputs of 10 x 10 pixels, each a sum of 5 channels x 3 x 3 products.
    assert cost(nn.Conv2d(5, 12, 3), (5, 12, 12)) == Cost(12 * 5 * 9 + 12, 2 * 12 * 100 * 5 * 9)


def test_strides_dilation_and_padding_are_seen_in_the_output():
    convolution = nn.Conv2d(4, 8, 5, stride=2, padding=2, bias=False)
    assert cost(convolution, (4, 9, 16)) == Cost(8 * 4 * 25, 2 * 8 * (5 * 8) * 4 * 25)


@pytest.mark.parametrize("groups", [2, 6])
def test_a_grouped_convolution_reads_the_channels_of_its_group(groups):
    convolution = nn.Conv2d(6, 12, 3, padding=1, groups=groups, bias=False)
    assert cost(convolution, (6, 8, 8)) == Cost(12 * (6 // groups) * 9, 2 * 12 * 64 * (6 // groups) * 9)


def test_a_linear_layer_after_flattening():
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 7))
    assert cost(network, (3, 4, 4)) == Cost(48 * 7 + 7, 2 * 48 * 7)


def test_a_matrix_product_counts_and_elementwise_work_does_not():
    class Product(nn.Module):
        def forward(self, x):
            return torch.relu(x @ x.transpose(2, 3)) + 1

    assert cost(Product(), (2, 5, 9)) == Cost(0, 2 * 2 * 5 * 5 * 9)


def test_attention_is_counted_though_torch_would_fuse_it():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x):
            tokens = x.flatten(2).transpose(1, 2)
            return self.attention(tokens, tokens, tokens, need_weights=False)[0]

    tokens, width = 6 * 6, 8
    linear = 4 * 2 * tokens * width * width  # query, key, value, output
    assert cost(Tokens(), (8, 6, 6)).flops == linear + 2 * 2 * tokens * tokens * width
    assert torch.backends.mha.get_fastpath_enabled()


def test_resnet34_as_published():
    torchvision = pytest.importorskip("torchvision")
    counted = cost(torchvision.models.resnet34(), (3, 224, 224))
    assert counted.parameters == 21797672  # torchvision's documentation
    assert counted.flops / 1e9 == pytest.approx(7.33, abs=0.005)  # 3.66 G multiply-adds


def test_efficientnet_b2_at_240_pixels_by_two_for_a_multiply_add():
    counted = cost(network(Bundle.at(_folder("brain_tumor_efficientnet_b2"))), (3, 240, 240))
    assert counted.parameters == 7705221
    assert counted.flops / 1e9 == pytest.approx(1.588, abs=0.0005)


@pytest.mark.parametrize("folder", BUNDLES, ids=lambda path: path.name)
def test_each_bundle_states_what_its_network_costs(folder):
    bundle = Bundle.at(folder)
    stated = Cost(bundle.facts["parameters"], bundle.facts["flops"])
    assert cost(network(bundle), bundle.input_shape) == stated


def test_the_network_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Sequential(nn.Dropout()).eval())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    cost(model, (1, 6, 6))
    assert [module.training for module in model.modules()] == [True, True, True, False, False]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("shape", [(3, 224), (3, 0, 224)])
def test_a_shape_that_is_no_image_is_refused(shape):
    with pytest.raises(ConfigurationError, match="channels, height and width"):
        cost(nn.Identity(), shape)


def _folder(name: str) -> Path:
    return next(path for path in BUNDLES if path.name == f"{name}_classification")

"""The parts of the improved ResNet34 (arXiv 2512.03751, sections 2.1 to 2.5)."""

from __future__ import annotations

import copy
import itertools

import torch
from monai.networks.blocks import ChannelSELayer
from torch import nn
from torch.nn import functional

from monai_brain.errors import ModelError
from monai_brain.inference.fuse import fold_batch_norm


class NormalisedConvolution(nn.Module):
    """A convolution without bias, BatchNorm and ReLU; the size is halved by stride 2, else kept."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False
        )
        self.bn: nn.Module = nn.BatchNorm2d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The activated map."""
        return functional.relu(self.bn(self.conv(x)), inplace=True)

    def fold_(self) -> None:
        """Fold the norm into the convolution, in place."""
        self.conv, self.bn = fold_batch_norm(self.conv, self.bn), nn.Identity()


class PairedConvolution(nn.Module):
    """The sum of two convolutions of the same input, BatchNorm and ReLU (section 2.4).

    Nothing stands between the two convolutions and their sum, so the smaller kernel, padded with
    zeros, is added to the larger one and the image is read once: the same sum, the same gradients,
    half the full-size maps. `small` and `large` keep their own parameters.
    """

    def __init__(self, in_channels: int, out_channels: int, small: int, large: int) -> None:
        super().__init__()
        self.small = nn.Conv2d(in_channels, out_channels, small, padding=small // 2, bias=False)
        self.large = nn.Conv2d(in_channels, out_channels, large, padding=large // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.margin = (large - small) // 2
        self.padding = large // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The activated sum, (B, out_channels, H, W)."""
        summed = functional.conv2d(x, self.summed_kernel(), padding=self.padding)
        return functional.relu(self.bn(summed), inplace=True)

    def summed_kernel(self) -> torch.Tensor:
        """The larger kernel with the smaller one added to its middle."""
        m = self.margin
        return self.large.weight + functional.pad(self.small.weight, (m, m, m, m))

    def folded(self) -> nn.Module:
        """The pair as one convolution with bias, then ReLU."""
        summed = copy.deepcopy(self.large)
        summed.weight = nn.Parameter(self.summed_kernel().detach())
        return nn.Sequential(fold_batch_norm(summed, self.bn), nn.ReLU(inplace=True))


class MultiScaleConvolution(nn.Module):
    """Kernels of 3, 5, 7 and 11 pixels at full size, then two maps of half the size (part B, section 2.4).

    It stands where ResNet34 has its 7 x 7 convolution, so BatchNorm and ReLU of what comes out are the
    network's own: one norm over the concatenated maps is a norm of each.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        width = out_channels // 2
        self.fine: nn.Module = PairedConvolution(in_channels, width, 3, 5)
        self.coarse: nn.Module = PairedConvolution(in_channels, width, 7, 11)
        self.reduce_fine = nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False)
        self.reduce_coarse = nn.Conv2d(width, width, 5, stride=2, padding=2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H/2, W/2), not yet activated."""
        return torch.cat([self.reduce_fine(self.fine(x)), self.reduce_coarse(self.coarse(x))], dim=1)

    def folded(self, norm: nn.BatchNorm2d) -> MultiScaleConvolution:
        """A copy with the norm that follows, and those inside, folded into single convolutions."""
        new = copy.deepcopy(self).eval()
        if isinstance(new.fine, PairedConvolution) and isinstance(new.coarse, PairedConvolution):
            new.fine, new.coarse = new.fine.folded(), new.coarse.folded()
        width = norm.num_features // 2
        new.reduce_fine = fold_batch_norm(self.reduce_fine, _part(norm, slice(0, width)))
        new.reduce_coarse = fold_batch_norm(self.reduce_coarse, _part(norm, slice(width, None)))
        return new


class PhasedStem(nn.Module):
    """A folded multi-scale stem that computes the four pixels of each 2 x 2 square as channels.

    It computes the same for images of even sides, with half as many operations again: its convolutions
    read 4 or 128 channels where the drawn ones read 1 or 32, and integer kernels work on whole groups of
    channels only. In 8 bits that is several times as fast; in single precision it would be slower.

    Args:
        stem: What `MultiScaleConvolution.folded` gives.
    """

    def __init__(self, stem: MultiScaleConvolution) -> None:
        super().__init__()
        self.fine, self.coarse = (
            nn.Sequential(_phased(pair[0], both=True), nn.ReLU(inplace=True))
            for pair in (stem.fine, stem.coarse)
            if isinstance(pair, nn.Sequential) and isinstance(pair[0], nn.Conv2d)
        )
        self.reduce_fine = _phased(stem.reduce_fine, both=False)
        self.reduce_coarse = _phased(stem.reduce_coarse, both=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H/2, W/2), not yet activated."""
        squares = functional.pixel_unshuffle(x, 2)
        return torch.cat(
            [self.reduce_fine(self.fine(squares)), self.reduce_coarse(self.coarse(squares))], dim=1
        )


def _phased(convolution: nn.Conv2d, both: bool) -> nn.Module:
    """The convolution of maps whose 2 x 2 squares are channels; with `both`, its output is so too.

    Channel 4 c + 2 i + j is pixel (i, j) of the squares of map c, as in torch's pixel_unshuffle.
    """
    kernel = convolution.weight.detach()
    outputs, inputs, size, _ = kernel.shape
    margin = size // 2
    phases = 2 if both else 1
    before, after = (margin + 1) // 2, (margin + phases - 1) // 2  # squares on either side
    squares = before + 1 + after
    new = kernel.new_zeros(outputs, phases, phases, inputs, 2, 2, squares, squares)
    for a, b, y, x in itertools.product(range(phases), range(phases), range(size), range(size)):
        down, right = a + y - margin, b + x - margin
        new[:, a, b, :, down % 2, right % 2, before + down // 2, before + right // 2] = kernel[:, :, y, x]
    made = nn.Conv2d(4 * inputs, outputs * phases**2, squares)
    made.weight = nn.Parameter(new.reshape(made.weight.shape))
    if convolution.bias is None:
        raise ModelError("Fold the norms into the convolutions before they are computed by squares.")
    made.bias = nn.Parameter(convolution.bias.detach().repeat_interleave(phases**2))
    return nn.Sequential(nn.ZeroPad2d((before, after, before, after)), made.to(kernel))


def _part(norm: nn.BatchNorm2d, channels: slice) -> nn.BatchNorm2d:
    state = {name: value[channels] if value.ndim else value for name, value in norm.state_dict().items()}
    part = nn.BatchNorm2d(len(state["weight"]), norm.eps).to(state["weight"])
    part.load_state_dict(state)
    return part


class ResidualStep(nn.Module):
    """ResNet34's block, with squeeze-and-excitation before the addition when `reduction` > 0 (part C)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, reduction: int = 0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1: nn.Module = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2: nn.Module = nn.BatchNorm2d(out_channels)
        self.se: nn.Module = nn.Identity()
        if reduction:
            self.se = ChannelSELayer(spatial_dims=2, in_channels=out_channels, r=reduction)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The activated sum of the shortcut and the two convolutions."""
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.se(self.bn2(self.conv2(y)))
        y += self.downsample(x)
        return functional.relu(y, inplace=True)

    def fold_(self) -> None:
        """Fold every norm into its convolution, in place."""
        self.conv1, self.bn1 = fold_batch_norm(self.conv1, self.bn1), nn.Identity()
        self.conv2, self.bn2 = fold_batch_norm(self.conv2, self.bn2), nn.Identity()
        if isinstance(self.downsample, nn.Sequential):
            convolution = self.downsample[0]
            if isinstance(convolution, nn.Conv2d):
                self.downsample = fold_batch_norm(convolution, self.downsample[1])


class InceptionDownsampling(nn.Module):
    """Four branches of C/2 channels each, at half the size (part A, section 2.3, figure 4).

    Args:
        in_channels: C, a multiple of 4; twice as many come out.
        figure_widths: Give the third branch's first convolution C/2 channels, as the figure writes,
            instead of C/4.
    """

    def __init__(self, in_channels: int, figure_widths: bool = False) -> None:
        super().__init__()
        half, quarter = in_channels // 2, in_channels // 4
        first = half if figure_widths else quarter
        self.branch1 = NormalisedConvolution(in_channels, half, 3, stride=2)
        self.branch2 = nn.Sequential(
            NormalisedConvolution(in_channels, quarter, 1), NormalisedConvolution(quarter, half, 3, stride=2)
        )
        self.branch3 = nn.Sequential(
            NormalisedConvolution(in_channels, first, 1),
            NormalisedConvolution(first, quarter, 3),
            NormalisedConvolution(quarter, half, 3, stride=2),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=2, padding=1), NormalisedConvolution(in_channels, half, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, 2C, H/2, W/2), rounded up."""
        branches = [self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)]
        return torch.cat(branches, dim=1)

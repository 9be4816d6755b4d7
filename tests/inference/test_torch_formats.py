"""TorchScript of a network that gives something else when it is scripted."""

import pytest
import torch

import monai_brain as mb
from monai_brain.inference.export import export_network


def test_a_network_that_gives_a_tuple_when_scripted_is_traced(tmp_path):
    pytest.importorskip("torchvision")
    network = mb.network("baseline", variant="googlenet", image_size=64)
    path = export_network(
        network, mb.bundle("baseline"), "torchscript", tmp_path / "g.ts", settings={"image_size": 64}
    )
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(torch.jit.load(path)(images), network(images), rtol=1e-4, atol=1e-4)

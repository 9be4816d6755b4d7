import pytest
import torch
from monai_brain_plugins.baseline.network import (
    ARCHITECTURES,
    TIMM,
    TORCHVISION,
    baseline_classifier,
    cam_layer,
)
from torch import nn
from torch.nn import functional

from monai_brain.errors import ConfigurationError, IntegrityError, ModelError, UnknownNameError

models = pytest.importorskip("torchvision.models")
timm = pytest.importorskip("timm")

DEAD_PROXY = "http://127.0.0.1:9"


def images(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# Building and running the largest takes longer than all others together.
LARGE = ("resnet152v2", "resnext101", "vgg16")


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in ARCHITECTURES],
)
def small(request):
    """A grey network for 64 pixels and three classes, with its name; built once for each architecture."""
    torch.manual_seed(0)
    network = grey_network(request.param)
    if request.param == "vit_b_16":  # torchvision's starts with a head of zeros
        nn.init.normal_(network.heads.head.weight)
    return request.param, network


def grey_network(architecture):
    return baseline_classifier(architecture, num_classes=3, in_channels=1, image_size=64).eval()


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("architecture", sorted(TORCHVISION))
def test_size_and_names_are_torchvision_s(architecture):
    builder = TORCHVISION[architecture].builder
    with torch.device("meta"):
        ours = baseline_classifier(architecture, num_classes=1000)
        theirs = models.get_model(builder, num_classes=1000, **TORCHVISION[architecture].arguments)
    published = models.get_model_weights(builder).DEFAULT.meta["num_params"]
    assert parameters(ours) == published
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_resnet152v2_is_keras_s_but_for_biases():
    with torch.device("meta"):
        network = baseline_classifier("resnet152v2", num_classes=1000)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not any(isinstance(m, nn.GroupNorm) for m in network.modules())
    statistics = sum(2 * norm.num_features for norm in norms)
    assert statistics == 143_744  # Keras's count of non-trainable parameters
    blocks = {256: 3, 512: 8, 1024: 36, 2048: 3}
    biases = 64 + sum(width * (n + 1) for width, n in blocks.items())
    assert parameters(network) + statistics + biases == 60_380_648  # and of all


def test_logits_and_grad_cam_maps(small):
    architecture, network = small
    kept = {}

    def keep(module, inputs, output):
        kept.update(now=output, then=output.clone())

    handle = network.get_submodule(cam_layer(architecture)).register_forward_hook(keep)
    with torch.no_grad():
        logits = network(images(2, 1, 64, 64))
    handle.remove()
    assert logits.shape == (2, 3)
    assert torch.isfinite(logits).all()
    assert torch.equal(kept["now"], kept["then"]), "a later layer alters the maps in place"
    if architecture == "vit_b_16":
        assert kept["now"].shape == (2, 1 + 4 * 4, 768)
    else:
        assert kept["now"].shape[2:] == ((4, 4) if architecture == "vgg16" else (2, 2))


def test_grad_cam_reads_the_layer(small):
    gradcam = pytest.importorskip("pytorch_grad_cam")
    architecture, network = small

    def as_maps(tokens):
        return tokens[:, 1:].transpose(1, 2).unflatten(2, (4, 4))

    layer = network.get_submodule(cam_layer(architecture))
    reshape = as_maps if architecture == "vit_b_16" else None
    with gradcam.GradCAM(network, [layer], reshape_transform=reshape) as cam:
        heat = cam(images(2, 1, 64, 64), targets=None)
        gradients = cam.activations_and_grads.gradients
        assert heat.shape == (2, 64, 64)
        assert len(gradients) == 1
        assert gradients[0].abs().max() > 0


def test_state_dict_comes_back_whole(small, tmp_path):
    architecture, network = small
    torch.save(network.state_dict(), tmp_path / "model.pt")
    again = grey_network(architecture)
    again.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True), strict=True)
    x = images(1, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(network(x), again(x))


def test_every_parameter_gets_a_finite_gradient(small):
    network = small[1].train()
    network.zero_grad()
    functional.cross_entropy(network(images(2, 1, 64, 64)), torch.tensor([0, 2])).backward()
    network.eval()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("architecture", ["vit_b_16", "convnext_tiny"])
@pytest.mark.slow
def test_at_their_own_size(architecture):
    network = baseline_classifier(architecture).eval()
    with torch.no_grad():
        assert network(images(1, 3, 224, 224)).shape == (1, 4)


@pytest.mark.parametrize("architecture", ["resnet34", "densenet121", "convnext_tiny", "vit_b_16"])
def test_a_dropout_added_before_the_head_keeps_names(architecture):
    plain = baseline_classifier(architecture, num_classes=3)
    network = baseline_classifier(architecture, num_classes=3, dropout=0.75)
    assert list(network.state_dict()) == list(plain.state_dict())
    head = network.get_submodule(TORCHVISION[architecture].head)
    nn.init.ones_(head.weight)
    nn.init.zeros_(head.bias)
    torch.manual_seed(0)
    sums = head.train()(torch.ones(500, head.in_features))[:, 0] / head.in_features
    # Kept features count four times: mean 1, variance (1 - p) / p with p = 1/4 kept, over the features.
    assert abs(sums.mean() - 1) < 0.02
    assert abs(sums.var() * head.in_features - 3) < 0.6
    assert torch.equal(head.eval()(torch.ones(1, head.in_features)), torch.full((1, 3), head.in_features))


@pytest.mark.parametrize("architecture", ["googlenet", "efficientnetv2_s", "vgg16", "timm:resnet10t"])
def test_a_dropout_of_the_network_s_own_takes_the_probability(architecture):
    with torch.device("meta"):
        network = baseline_classifier(architecture, dropout=0.75)
    own = [m.p for m in network.modules() if isinstance(m, nn.Dropout)]
    assert (set(own) or {network.drop_rate}) == {0.75}


def test_any_timm_network():
    network = baseline_classifier("timm:resnet10t", num_classes=2, in_channels=1).eval()
    theirs = timm.create_model("resnet10t", num_classes=2, in_chans=1)
    assert list(network.state_dict()) == list(theirs.state_dict())
    assert cam_layer("timm:resnet10t") == "layer4"
    with torch.no_grad():
        assert network(images(1, 1, 64, 64)).shape == (1, 2)


def test_a_timm_vit_takes_the_image_size():
    network = baseline_classifier("timm:vit_tiny_patch16_224.augreg_in21k", 2, 1, image_size=64).eval()
    assert network.get_submodule(cam_layer("timm:vit_tiny_patch16_224")) is network.blocks[-1].norm1
    with torch.no_grad():
        assert network(images(1, 1, 64, 64)).shape == (1, 2)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet43", "Did you mean 'resnet34'?"),
        ("Densenet", "Did you mean 'densenet121'?"),
        ("timm:resnet10x", "Did you mean 'resnet10t'?"),
        ("timm:", "Unknown timm network ''"),
    ],
)
@pytest.mark.parametrize("door", [baseline_classifier, cam_layer])
def test_unknown_names(name, said, door):
    with pytest.raises(UnknownNameError) as caught:
        door(name)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"architecture": "vit_b_16", "image_size": 100}, "patches of 16 pixels; 100"),
        (
            {"architecture": "timm:resnet18.a1_in1"},
            "no weights 'a1_in1' for resnet18. Did you mean 'a1_in1k'?",
        ),
    ],
)
def test_what_cannot_be_is_refused(arguments, said):
    with pytest.raises(ConfigurationError) as caught:
        baseline_classifier(**arguments)
    assert said in str(caught.value)


def imagenet_file(path, architecture, **extra):
    """A file such as torchvision publishes: 1000 classes, three channels, here with random weights."""
    torch.manual_seed(7)
    network = models.get_model(TORCHVISION[architecture].builder, num_classes=1000, **extra).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    torch.save(network.state_dict(), path)
    return network


def features(network, head, x):
    """What the head reads."""
    seen = []
    network.get_submodule(head).register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(x)
    return seen[0]


@pytest.mark.parametrize("architecture", ["resnet34", "densenet121"])
def test_a_file_of_imagenet_weights_in_one_and_three_channels(architecture, tmp_path):
    theirs = imagenet_file(tmp_path / "net.pth", architecture)
    head = TORCHVISION[architecture].head
    grey = images(2, 1, 64, 64)
    wanted = features(theirs, head, grey.expand(-1, 3, -1, -1))
    for channels in (1, 3):
        torch.manual_seed(channels)
        ours = baseline_classifier(architecture, 4, channels, pretrained=str(tmp_path / "net.pth")).eval()
        found = features(ours, head, grey.expand(-1, channels, -1, -1))
        assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()
        assert ours.get_submodule(head).weight.shape[0] == 4


def test_a_head_of_the_same_classes_is_kept(tmp_path):
    imagenet_file(tmp_path / "net.pth", "resnet34")
    weights = torch.load(tmp_path / "net.pth", weights_only=True)
    kept = baseline_classifier("resnet34", 1000, pretrained=tmp_path / "net.pth")
    assert torch.equal(kept.fc.weight, weights["fc.weight"])


def test_densenet_s_old_names_are_read(tmp_path):
    theirs = imagenet_file(tmp_path / "new.pth", "densenet121")
    old = {
        name.replace("norm1.", "norm.1.").replace("norm2.", "norm.2.").replace("conv1.", "conv.1.")
        .replace("conv2.", "conv.2."): value
        for name, value in theirs.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }  # fmt: skip
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "old.pth")
    ours = baseline_classifier("densenet121", pretrained=tmp_path / "old.pth").eval()
    x = images(1, 3, 64, 64)
    wanted = features(theirs, "classifier", x)
    assert (features(ours, "classifier", x) - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def test_googlenet_s_change_of_scale_goes_into_its_first_layer(tmp_path):
    theirs = imagenet_file(
        tmp_path / "net.pth", "googlenet", aux_logits=True, transform_input=True, init_weights=True
    )
    ours = baseline_classifier("googlenet", pretrained=tmp_path / "net.pth").eval()
    x = images(1, 3, 64, 64)
    seen = []
    for network in (theirs, ours):
        network.conv1.bn.register_forward_hook(lambda module, inputs, output: seen.append(output))
        with torch.no_grad():
            network(x)
    inner = (..., slice(2, -2), slice(2, -2))
    assert seen[0].abs().max() > 0.1
    assert (seen[0][inner] - seen[1][inner]).abs().max() < 1e-5
    # The folded function does not depend on where its weights came from.
    torch.save(ours.state_dict(), tmp_path / "ours.pt")
    again = baseline_classifier("googlenet", pretrained=tmp_path / "ours.pt").eval()
    with torch.no_grad():
        assert torch.equal(again(x), ours(x))


def test_vit_positions_are_resized(tmp_path):
    imagenet_file(tmp_path / "net.pth", "vit_b_16")
    weights = torch.load(tmp_path / "net.pth", weights_only=True)
    ours = baseline_classifier("vit_b_16", image_size=64, pretrained=tmp_path / "net.pth")
    found = ours.encoder.pos_embedding
    assert found.shape == (1, 17, 768)
    torch.testing.assert_close(found[:, 0], weights["encoder.pos_embedding"][:, 0])
    maps = weights["encoder.pos_embedding"][:, 1:].transpose(1, 2).reshape(1, 768, 14, 14)
    wanted = functional.interpolate(maps, size=4, mode="bicubic", align_corners=True)
    torch.testing.assert_close(found[:, 1:].transpose(1, 2).reshape(1, 768, 4, 4), wanted)


def test_a_timm_file(tmp_path):
    torch.manual_seed(7)
    theirs = timm.create_model("resnet10t").eval()
    torch.save({"state_dict": theirs.state_dict()}, tmp_path / "net.pth")
    grey = images(2, 1, 64, 64)
    ours = baseline_classifier("timm:resnet10t", 4, 1, pretrained=tmp_path / "net.pth").eval()
    wanted = features(theirs, "fc", grey.expand(-1, 3, -1, -1))
    assert (features(ours, "fc", grey) - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def test_a_timm_file_in_safetensors_with_other_positions(tmp_path):
    save_file = pytest.importorskip("safetensors.torch").save_file
    theirs = timm.create_model("vit_tiny_patch16_224")
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    ours = baseline_classifier(
        "timm:vit_tiny_patch16_224", 4, 3, image_size=64, pretrained=tmp_path / "model.safetensors"
    )
    assert ours.pos_embed.shape == (1, 17, 192)
    torch.testing.assert_close(ours.blocks[3].mlp.fc1.weight, theirs.blocks[3].mlp.fc1.weight)


@pytest.mark.parametrize(
    ("architecture", "content", "error", "said"),
    [
        ("resnet34", b"", IntegrityError, "cannot be loaded safely"),
        ("resnet34", b"<html>not found</html>", IntegrityError, "cannot be loaded safely"),
        ("resnet34", [1, 2], ModelError, "holds no state_dict"),
        ("resnet34", "resnet50", ModelError, "they add"),
        ("densenet121", "resnet34", ModelError, "they lack"),
        ("vit_b_16", "resnet34", ModelError, "does not hold weights of vit_b_16"),
        ("timm:resnet10t", "resnet34", ModelError, "they lack"),
        ("timm:vit_tiny_patch16_224", "resnet34", ModelError, "they lack"),
    ],
)
def test_files_that_do_not_fit_are_refused_in_one_line(architecture, content, error, said, tmp_path):
    path = tmp_path / "net.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        imagenet_file(path, content)
    else:
        torch.save(content, path)
    with pytest.raises(error) as caught:
        baseline_classifier(architecture, image_size=64, pretrained=path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_missing_file_is_named():
    with pytest.raises(ModelError, match=r"There is no file .*nowhere.pth"):
        baseline_classifier("resnet34", pretrained="nowhere.pth")


def test_offline_torchvision_says_what_to_fetch_and_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, DEAD_PROXY)
    with pytest.raises(ModelError) as caught:
        baseline_classifier("resnet34", pretrained=True)
    message = str(caught.value)
    for part in ("resnet34-b627a593.pth", "https://download.pytorch.org/", str(tmp_path), "pretrained=FILE"):
        assert part in message
    assert "\n" not in message


def test_a_cached_file_that_is_not_what_its_name_says(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    imagenet_file(folder / "resnet34-b627a593.pth", "resnet34")
    with pytest.raises(IntegrityError, match="SHA-256 differs"):
        baseline_classifier("resnet34", pretrained=True)


def test_offline_timm_says_what_to_fetch(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError) as caught:
        baseline_classifier("timm:resnet10t", pretrained=True)
    for part in ("timm/resnet10t", "model.safetensors", "pretrained=FILE"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("architecture", sorted(TIMM))
def test_without_published_weights(architecture):
    with pytest.raises(ModelError, match="publishes no ImageNet weights for resnetv2_152"):
        baseline_classifier(architecture, pretrained=True)

import json
import shutil

import pytest
import torch

import monai_brain as mb
from monai_brain.safety import trust

TINY = {
    "_target_": "monai.networks.nets.ResNet",
    "block": "basic",
    "layers": [1, 1, 1, 1],
    "block_inplanes": [4, 6, 8, 10],
    "spatial_dims": 2,
    "n_input_channels": "@in_channels",
    "num_classes": "$len(@labels)",
}


@pytest.fixture(autouse=True)
def trusted():
    """The small networks of these tests are not those of the installed models."""
    with trust.given():
        yield


@pytest.fixture
def tiny(tmp_path):
    """A bundle with a residual network of a few thousand weights on 64 x 64 images, without weights."""
    bundle = mb.bundle("brain_tumor_resnet34").copy(tmp_path / "tiny_classification")
    for name in ("train.json", "inference.json"):
        path = bundle.root / "configs" / name
        config = json.loads(path.read_text(encoding="utf-8"))
        config |= {"network_def": TINY, "image_size": 64, "batch_size": 4}
        path.write_text(json.dumps(config), encoding="utf-8")
    path = bundle.root / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["network_data_format"]["inputs"]["image"]["spatial_shape"] = [64, 64]
    metadata["monai_brain"] |= {
        "model": "tiny",
        "variants": {"thin": {"network_def#block_inplanes": [2, 2, 2, 2]}},
    }
    metadata["monai_brain"].pop("weights", None)
    path.write_text(json.dumps(metadata), encoding="utf-8")
    for folder in ("docs", "models", "sample_data"):
        shutil.rmtree(bundle.root / folder, ignore_errors=True)
    return mb.Bundle.at(bundle.root)


@pytest.fixture
def tiny_network(tiny):
    """The tiny bundle's network, with statistics that are not the initial ones."""
    generator = torch.Generator().manual_seed(3)
    network = mb.network(tiny)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                fan = module.weight[0].numel()
                module.weight.normal_(0, (2 / fan) ** 0.5, generator=generator)
            elif isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.7, 1.3, generator=generator)
                module.bias.normal_(0, 0.2, generator=generator)
                module.running_mean.normal_(0, 0.2, generator=generator)
                module.running_var.uniform_(0.5, 2, generator=generator)
            elif isinstance(module, torch.nn.Linear):
                module.weight.normal_(0, 1, generator=generator)
        # So that it does not say the same of every image.
        network.fc.bias -= network(torch.randn(8, 1, 64, 64, generator=generator)).mean(0)
    return network


@pytest.fixture
def tiny_like(tmp_path):
    """A function that makes a tiny model with the gates, labels and further facts of a real one."""
    from monai_brain.bundles import WEIGHTS_FILE
    from monai_brain.inference import weights
    from monai_brain.testing.tiny import tiny_bundle

    def make(name):
        bundle, real = tiny_bundle(tmp_path / f"tiny_{name}"), mb.bundle(name)
        path = bundle.root / "configs" / "metadata.json"
        metadata = json.loads(path.read_text(encoding="utf-8"))
        for key in ("gates", "series", "exam", "assumes"):
            if key in real.facts:
                metadata["monai_brain"][key] = real.facts[key]
        classes = real.metadata["network_data_format"]["outputs"]["pred"]
        metadata["network_data_format"]["outputs"]["pred"] = classes
        path.write_text(json.dumps(metadata), encoding="utf-8")
        bundle = mb.Bundle.at(bundle.root)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(4)
            weights.save(weights.network(bundle), bundle.root / WEIGHTS_FILE)
        return bundle

    return make


@pytest.fixture
def dicom(tmp_path):
    """A function that writes a DICOM image of random or given pixels, a T1 slice of a brain unless told."""
    pydicom = pytest.importorskip("pydicom")
    np = pytest.importorskip("numpy")
    generator = np.random.default_rng(8)

    def write(place, pixels=None, **changes):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if pixels is None:
            pixels = generator.integers(0, 4000, (64, 60)).astype(np.uint16)
        meta = pydicom.dataset.FileMetaDataset()
        meta.MediaStorageSOPClassUID = changes.pop("SOPClassUID", "1.2.840.10008.5.1.4.1.1.4")
        meta.MediaStorageSOPInstanceUID = changes.pop("SOPInstanceUID", pydicom.uid.generate_uid())
        meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        dataset = pydicom.dataset.Dataset()
        dataset.file_meta = meta
        dataset.SOPClassUID, dataset.SOPInstanceUID = (
            meta.MediaStorageSOPClassUID,
            meta.MediaStorageSOPInstanceUID,
        )
        dataset.Modality, dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "MR", "MONOCHROME2", 1
        dataset.EchoTime, dataset.RepetitionTime, dataset.ScanningSequence = 10, 500, "SE"
        dataset.Rows, dataset.Columns = pixels.shape[-2:]
        dataset.BitsAllocated = dataset.BitsStored = pixels.itemsize * 8
        dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(pixels.dtype.kind == "i")
        dataset.PixelData = pixels.tobytes()
        for keyword, value in changes.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path, enforce_file_format=True)
        return path

    return write

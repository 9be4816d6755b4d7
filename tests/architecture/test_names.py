"""Our names beside MONAI's, which looks up bare names in every module that begins with "monai"."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from monai.bundle.config_item import ComponentLocator

import monai_brain
from monai_brain.errors import MissingExtraError
from monai_brain.files import read_json
from monai_brain.testing.subject import walk

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((*ROOT.glob("bundles/*/configs/*.json"), *ROOT.glob("monai_brain/testing/*/configs/*.json")))
OPTIONAL = {
    *("itk", "pydicom", "kan", "timm", "torchvision", "onnx", "onnxruntime", "onnxscript", "highdicom"),
    *("pynetdicom", "dicomweb_client", "requests"),
    *("pytorch_grad_cam", "pandas", "pyarrow", "h5py", "matplotlib", "tensorboard", "mlflow", "distributed"),
}
# MONAI's own command line: functions such as run and load, which no recipe can mean by a bare name.
COMMANDS = "monai.bundle.scripts"


def our_modules():
    import monai_brain_plugins

    for package in (monai_brain, monai_brain_plugins):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                try:
                    yield importlib.import_module(found.name)
                except MissingExtraError:
                    continue


def public(module):
    return [
        name
        for name, thing in vars(module).items()
        if (inspect.isclass(thing) or inspect.isfunction(thing))
        and thing.__module__ == module.__name__
        and not name.startswith("_")
    ]


def test_no_public_name_is_one_of_monai_s():
    names = {(module.__name__, name) for module in our_modules() for name in public(module)}
    locator = ComponentLocator()
    taken = {}
    for module, name in sorted(names):
        places = locator.get_component_module_name(name) or []
        places = [places] if isinstance(places, str) else places
        theirs = [place for place in places if place.partition(".")[0] == "monai" and place != COMMANDS]
        if theirs:
            taken[f"{module}.{name}"] = theirs
    assert not taken
    assert len(names) > 100
    assert locator.get_component_module_name("CacheDataset") == "monai.data.dataset"  # it does see MONAI's


def targets():
    for path in CONFIGS:
        for where, value in walk(read_json(path)):
            if where.rpartition("#")[2] == "_target_":
                yield f"{path.parts[-3]}/{path.name}: {where}", value


def test_every_target_is_dotted():
    found = dict(targets())
    assert len(found) > 100
    assert {where: value for where, value in found.items() if "." not in value} == {}


BARE = """
import importlib, pkgutil
import monai_brain
for found in pkgutil.walk_packages(monai_brain.__path__, "monai_brain."):
    if not found.name.endswith("__main__"):
        try:
            importlib.import_module(found.name)
        except ModuleNotFoundError as error:
            assert error.name in ABSENT or "pip install" in str(error), error
from monai.bundle import ConfigParser
parser = ConfigParser({
    "network": {"_target_": "DenseNet121", "spatial_dims": 2, "in_channels": 1, "out_channels": 2},
    "transform": {"_target_": "Compose", "transforms": [{"_target_": "ScaleIntensityd", "keys": "image"}]},
})
print(type(parser.get_parsed_content("network")).__module__)
print(type(parser.get_parsed_content("transform")).__module__)
"""


def test_a_bundle_with_bare_names_still_parses_where_nothing_optional_is_installed(without):
    assert without(OPTIONAL, BARE).split()[-2:] == [
        "monai.networks.nets.densenet",
        "monai.transforms.compose",
    ]


def test_a_bundle_with_bare_names_still_parses_where_everything_is_installed(without):
    assert without(set(), BARE).split()[-2:] == ["monai.networks.nets.densenet", "monai.transforms.compose"]


@pytest.mark.parametrize("name", monai_brain.__all__)
def test_every_door_opens(name):
    assert callable(getattr(monai_brain, name))


def test_dir_names_no_heavy_door():
    program = "import monai_brain; print(sorted(set(monai_brain._HEAVY) & set(dir(monai_brain))))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

"""The loader that keeps images on the device: what it gives, when it gives way, and who still decides."""

from __future__ import annotations

import logging

import cv2
import numpy as np
import pytest
import torch
from monai import transforms as mt
from monai.data import Dataset
from monai.data.meta_obj import get_track_meta, set_track_meta
from monai.data.utils import set_rnd
from torch.utils.data import DistributedSampler, WeightedRandomSampler

import monai_brain as mb
from monai_brain.data import datalist
from monai_brain.data.reader import SliceReader
from monai_brain.errors import ConfigurationError
from monai_brain.evaluation import predictions
from monai_brain.recipe import failure, workflow
from monai_brain.testing.tiny import tiny_bundle
from monai_brain.training import checkpoint_files
from monai_brain.training.device_cache import DeviceCache
from monai_brain.training.device_loader import DeviceLoader, parts
from monai_brain.training.workflow import train
from monai_brain.transforms.batched import batched
from monai_brain.transforms.grey import ToGrey255d
from monai_brain.transforms.resize import ResizeSliced

KEY = {"keys": "image"}


@pytest.fixture(autouse=True)
def plain_tensors():
    before = get_track_meta()
    set_track_meta(False)
    yield
    set_track_meta(before)


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    """Twenty grey images of one size, each with its number as its mean."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    found = []
    for number in range(20):
        pixels = random.integers(0, 256, (24, 24), dtype=np.uint8)
        pixels[0, 0], pixels[0, 1] = 0, 255
        cv2.imwrite(str(folder / f"{number}.png"), pixels)
        found.append({"image": str(folder / f"{number}.png"), "label": number % 4, "case": f"c{number}"})
    return found


def fixed(size=24):
    return [
        mt.LoadImaged(**KEY, reader=SliceReader(), dtype=None, image_only=True),
        mt.EnsureChannelFirstd(**KEY, channel_dim="no_channel"),
        ToGrey255d(**KEY),
        ResizeSliced("image", size),
    ]


def randoms():
    return [
        mt.RandFlipd(**KEY, prob=0.5, spatial_axis=0),
        mt.NormalizeIntensityd(**KEY),
        mt.RandShiftIntensityd(**KEY, prob=1.0, offsets=0.2),
    ]


def loader(items, transforms=None, size=24, **options):
    chain = mt.Compose([*fixed(size), *(randoms() if transforms is None else transforms)])
    return DeviceLoader(Dataset(items, chain), **{"batch_size": 6, **options})


def epoch(found, seed=0):
    torch.manual_seed(seed)
    return list(found)


def test_batches_hold_what_monais_hold(items):
    """Without anything random, the same images, labels and names in the same order, value for value."""
    for last in (False, True):
        ours = epoch(loader(items, [mt.NormalizeIntensityd(**KEY)], drop_last=last))
        monai = epoch(loader(items, [mt.NormalizeIntensityd(**KEY)], drop_last=last, device_cache=False))
        assert [len(batch["image"]) for batch in ours] == ([6, 6, 6] if last else [6, 6, 6, 2])
        for one, other in zip(ours, monai, strict=True):
            assert one["image"].dtype == torch.float32
            assert torch.allclose(one["image"], other["image"], atol=1e-5)
            assert torch.equal(one["label"], other["label"])
            assert one["case"] == other["case"]


def test_eight_bit_images_are_kept_as_such_and_others_exactly(items):
    whole, resized = loader(items), loader(items, size=20)
    for found, kind in ((whole, torch.uint8), (resized, torch.float32)):
        found.prepare()
        assert found.cache is not None
        assert found.cache.images.dtype == kind
        chain = mt.Compose(parts(found.dataset.transform)[0])
        images, rest = found.cache.gather([3, 17])
        for index, image, others in zip((3, 17), images, rest, strict=True):
            assert torch.equal(image, torch.as_tensor(chain(items[index])["image"]))
            assert others == {"label": index % 4, "case": f"c{index}"}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 255, 7], torch.uint8),
        ([0, 256, 7], torch.float16),
        ([0, 0.5, 7], torch.float16),
        ([-1, 3, 4], torch.float16),
        ([0, 0.1, 7], torch.float32),
        ([0, 2049, 7], torch.float32),
        ([0, 1e6, 7], torch.float32),
    ],
)
def test_the_smallest_exact_type_is_taken(values, kind):
    data = [{"image": torch.tensor(values, dtype=torch.float32).view(1, 1, 3)}] * 2
    cache = DeviceCache(data, lambda item: item, torch.device("cpu"))
    assert cache.images.dtype == kind
    assert torch.equal(cache.gather([1])[0][0], data[0]["image"])


def test_one_image_of_another_type_widens_all():
    data = [{"image": torch.full((1, 2, 2), value)} for value in [*([1.0] * 20), 0.3]]
    cache = DeviceCache(data, lambda item: item, torch.device("cpu"))
    assert cache.images.dtype == torch.float32
    assert torch.equal(cache.gather([20])[0][0], data[20]["image"])


def test_an_item_that_stands_there_twice_is_kept_once(items):
    found = loader([items[0], items[1], items[0], items[0]])
    found.prepare()
    assert len(found.cache) == 4
    assert len(found.cache.images) == 2


def test_same_seed_same_batches_and_another_seed_others(items):
    for options in ({}, {"device_cache": False}):
        found = loader(items, shuffle=True, **options)
        runs = []
        for seed in (1, 1, 2):
            set_rnd(found.dataset, seed)
            runs.append(epoch(found, seed))
        first, again, other = (torch.cat([batch["image"] for batch in batches]) for batches in runs)
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


def test_each_epoch_shuffles_and_augments_anew_but_gives_each_image_once(items):
    found = loader(items, shuffle=True)
    torch.manual_seed(0)
    orders = [[case for batch in found for case in batch["case"]] for _ in range(2)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(item["case"] for item in items)


def test_a_batchs_numbers_follow_its_place_in_the_epoch(items):
    """Whoever goes on in the middle of an epoch draws what the unbroken epoch would have drawn."""
    found = loader(items, shuffle=True)
    whole = epoch(found)
    torch.manual_seed(0)
    iterator = iter(found)
    next(iterator)
    torch.randn(100)  # dropout, say
    assert torch.equal(next(iterator)["image"], whole[1]["image"])


def test_other_data_put_into_the_dataset_are_what_is_given(items):
    found = loader(items[:5])
    assert [case for batch in found for case in batch["case"]] == [f"c{n}" for n in range(5)]
    found.dataset.data = items[5:12]
    assert [case for batch in found for case in batch["case"]] == [f"c{n}" for n in range(5, 12)]
    assert len(found) == 2


@pytest.mark.parametrize("cached", ["auto", False])
def test_shares_of_several_processes_are_honoured(items, cached):
    cases = []
    for rank in range(2):
        sampler = DistributedSampler(items, num_replicas=2, rank=rank, shuffle=True, seed=3)
        found = loader(items, sampler=sampler, device_cache=cached)
        assert len(found) == 2
        cases.append({case for batch in found for case in batch["case"]})
    assert len(cases[0] | cases[1]) == 20


def test_class_weights_are_honoured(items):
    weights = [1.0 if item["label"] == 2 else 0.0 for item in items]
    found = loader(items, sampler=WeightedRandomSampler(weights, 12))
    assert {int(label) for batch in found for label in batch["label"]} == {2}


def test_a_sampler_and_shuffle_exclude_one_another(items):
    with pytest.raises(ConfigurationError, match="not both"):
        loader(items, shuffle=True, sampler=WeightedRandomSampler([1.0] * 20, 20))


@pytest.mark.parametrize(
    ("transforms", "options", "reason"),
    [
        ([mt.RandRotate90d(**KEY)], {}, "RandRotate90d has no batched version"),
        (None, {"device_cache_gb": 1e-6}, "there is room for 0.00 GB (device_cache_gb)"),
        (None, {"device_cache": False}, "device_cache is false"),
    ],
)
def test_it_gives_way_to_monai_and_says_why(items, caplog, transforms, options, reason):
    found = loader(items, transforms, **options)
    with caplog.at_level(logging.INFO):
        batches = epoch(found)
    assert found.cache is None
    assert [case for batch in batches for case in batch["case"]] == [item["case"] for item in items]
    lines = [record.getMessage() for record in caplog.records if "MONAI's loader" in record.getMessage()]
    assert len(lines) == 1
    assert reason in lines[0]


def test_images_of_several_sizes_go_to_monai(items, tmp_path):
    cv2.imwrite(str(tmp_path / "big.png"), np.eye(30, dtype=np.uint8))
    data = [*items[:1], {**items[0], "image": str(tmp_path / "big.png")}]
    found = DeviceLoader(Dataset(data, mt.Compose([*fixed()[:3], *randoms()])), batch_size=1)
    assert [len(batch["image"]) for batch in found] == [1, 1]
    assert found.cache is None


def test_what_is_demanded_and_cannot_be_is_refused(items):
    with pytest.raises(ConfigurationError, match=r"device_cache cannot be true: RandRotate90d has no"):
        loader(items, [mt.RandRotate90d(**KEY)], device_cache=True).prepare()
    with pytest.raises(ConfigurationError, match="takes auto, true or false"):
        loader(items, device_cache="gpu")


def test_an_unreadable_image_is_named(items, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    found = loader([*items, {**items[0], "image": str(tmp_path / "broken.png")}])
    with pytest.raises(RuntimeError) as caught:
        found.prepare()
    assert "broken.png" in str(failure(caught.value))


def test_what_is_kept_and_where_is_told(items, caplog):
    with caplog.at_level(logging.INFO):
        loader(items).prepare()
    assert "20 images of 1x24x24 as uint8, 0.00 GB, on cpu, augmented in whole batches" in caplog.text


def test_replacing_the_datasets_data_changes_what_is_trained_with_the_cache_on(brain_phantoms, tmp_path):
    """MonaiAlgo and MONAI Label train on their own items by this one key."""
    tiny = tiny_bundle(tmp_path / "bundle")
    images = [item["image"] for item in datalist.part(brain_phantoms, 0, "train", tiny.labels)[:16]]
    options = {"max_epochs": 2, "device_cache": True}
    for label in (0, 3):
        data = [{"image": image, "label": label} for image in images]
        run = tmp_path / f"run{label}"
        train(tiny, brain_phantoms, 0, run_dir=run, **{**options, "train#dataset#data": data})
        assert predictions.read(run / "predictions.csv").logits.mean(axis=0).argmax() == label


@pytest.mark.parametrize("recipe", [(), ("recipe_strong",)])
@pytest.mark.parametrize("model", [*mb.models(), "tiny"])
def test_every_recipes_augmentation_has_a_batched_version(model, recipe, tmp_path):
    found = tiny_bundle(tmp_path / "bundle") if model == "tiny" else mb.bundle(model)
    parser = workflow(found, ["train", *recipe], {"image_size": 32}, kind="train").parser
    random = parser.get_parsed_content("train#augmentation")
    channels = parser.get_parsed_content("in_channels")
    chain = batched(random, (1, 32, 32))
    assert chain.shape == (channels, 32, 32)
    images = torch.rand(5, 1, 32, 32) * 255
    batch = chain(images, torch.Generator().manual_seed(0))
    assert batch.shape == (5, channels, 32, 32)
    assert bool(torch.isfinite(batch).all())


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("recipe", [(), ("recipe_strong",)])
def test_same_seed_same_weights_and_a_resumed_run_equals_the_unbroken_one(
    recipe, cached, brain_phantoms, tmp_path
):
    tiny = tiny_bundle(tmp_path / "bundle")
    options = {"max_epochs": 3, "device_cache": cached, "overlays": recipe}
    runs = {name: tmp_path / name for name in ("whole", "again", "broken")}
    for name in ("whole", "again"):
        train(tiny, brain_phantoms, 0, run_dir=runs[name], **options)
    shorter = {"train#trainer#max_epochs": 2}  # the schedule still is that of three epochs
    train(tiny, brain_phantoms, 0, run_dir=runs["broken"], **options, **shorter)
    train(tiny, brain_phantoms, 0, run_dir=runs["broken"], resume=True, **options)
    whole, *others = (checkpoint_files.last_whole(run)[1]["parts"] for run in runs.values())
    for other in others:
        for name, value in whole["network"].items():
            assert torch.equal(value, other["network"][name]), name
        averaged = [state.get("average", {}).get("averaged", {}) for state in (whole, other)]
        assert bool(averaged[0]) == bool(recipe)
        for name, value in averaged[0].items():
            assert torch.equal(value, averaged[1][name]), name

"""The brain's box, held against a step-by-step reference without OpenCV and one with it."""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor, set_track_meta
from monai.transforms import Compose
from scipy import ndimage

from monai_brain.errors import ConfigurationError, DataError
from monai_brain.transforms.brain_crop import BrainCrop, BrainCropd, RandBrainCrop, RandBrainCropd, brain_box

BINOMIAL = np.array([1, 4, 6, 4, 1])


def by_opencv(image, margin=12):
    """The paper's steps, each on the whole image."""
    grey = image.copy()
    grey[grey < 50] = 0
    grey = cv2.GaussianBlur(grey, (5, 5), 0)
    square = np.ones((3, 3), np.uint8)
    for _ in range(2):
        grey = cv2.erode(grey, square)
    for _ in range(2):
        grey = cv2.dilate(grey, square)
    contours, _ = cv2.findContours(grey, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    height, width = image.shape
    if not contours:
        return 0, height, 0, width
    points = max(contours, key=cv2.contourArea).reshape(-1, 2)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return (
        max(top - margin, 0),
        min(bottom + 1 + margin, height),
        max(left - margin, 0),
        min(right + 1 + margin, width),
    )


def mask_by_scipy(image):
    """The blurred and opened foreground, without OpenCV: whole numbers, mirrored edge, rounding half up."""
    grey = np.where(image < 50, 0, image).astype(np.int64)
    for axis in (0, 1):
        grey = ndimage.correlate1d(grey, BINOMIAL, axis=axis, mode="mirror")
    grey = (grey + 128) // 256
    grey = ndimage.grey_erosion(grey, size=(5, 5), mode="constant", cval=255)
    return ndimage.grey_dilation(grey, size=(5, 5), mode="constant", cval=0) > 0


def candidates_by_scipy(mask):
    """Of each outer component, holes filled: its box without margin, and bounds of its contour's area."""
    labels, _ = ndimage.label(ndimage.binary_fill_holes(mask), structure=np.ones((3, 3)))
    found = []
    for index, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        inside = labels == index
        pixels = int(inside.sum())
        edge = pixels - int(ndimage.binary_erosion(inside, structure=np.ones((3, 3)), border_value=0).sum())
        # The polygon runs through the edge pixels' centres (Pick: I + E / 2 - 1).
        box = (rows.start, rows.stop, columns.start, columns.stop)
        found.append((box, pixels - edge - 1, pixels))
    return found


def agrees_with_scipy(image, box, margin):
    found = candidates_by_scipy(mask_by_scipy(image))
    height, width = image.shape
    if not found:
        return box == (0, height, 0, width)
    least = max(low for _, low, _ in found)
    possible = [
        (max(t - margin, 0), min(b + margin, height), max(l - margin, 0), min(r + margin, width))
        for (t, b, l, r), _, high in found
        if high >= least
    ]
    return box in possible


def blobs(height, width, shapes, noise, seed):
    image = np.zeros((height, width), np.uint8)
    for y, x, h, w, grey in shapes:
        image[y : y + h, x : x + w] = grey
    if noise:
        generator = np.random.default_rng(seed)
        speckle = generator.random((height, width)) < 0.05
        image[speckle] = generator.integers(0, 256, int(speckle.sum()))
    return image


shape = st.tuples(
    st.integers(0, 90), st.integers(0, 90), st.integers(1, 60), st.integers(1, 60), st.integers(0, 255)
)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 96),
    st.integers(1, 96),
    st.lists(shape, max_size=6),
    st.booleans(),
    st.integers(0, 2**16),
    st.integers(0, 20),
)
def test_box_is_the_references(height, width, shapes, noise, seed, margin):
    image = blobs(height, width, shapes, noise, seed)
    box = brain_box(image, margin=margin)
    assert box == by_opencv(image, margin)
    assert agrees_with_scipy(image, box, margin)
    assert brain_box(image.astype(np.float32), margin=margin) == box


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 3), (4, 7), (64, 64), (0, 0), (0, 5)])
def test_black_leaves_the_image_whole(size):
    image = np.zeros(size, np.uint8)
    assert brain_box(image) == (0, size[0], 0, size[1])
    assert BrainCrop()(torch.zeros(1, *size)).shape == (1, *size)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (5, 5), (64, 48)])
def test_all_bright_leaves_the_image_whole(size):
    assert brain_box(np.full(size, 255, np.uint8)) == (0, size[0], 0, size[1])


@pytest.mark.parametrize("grey", [50, 100, 255])
def test_one_pixel(grey):
    image = np.zeros((64, 64), np.uint8)
    image[20, 30] = grey
    assert brain_box(image) == by_opencv(image)
    assert brain_box(np.array([[grey]], np.uint8)) == (0, 1, 0, 1)


def test_the_larger_of_two_is_taken_and_the_margin_ends_at_the_image():
    image = np.zeros((100, 120), np.uint8)
    image[5:15, 100:110] = 255
    image[40:90, 10:50] = 80
    # The blur reaches two pixels out on each side.
    assert brain_box(image, margin=0) == (38, 92, 8, 52)
    assert brain_box(image) == (26, 100, 0, 64)
    assert brain_box(image, margin=1000) == (0, 100, 0, 120)


def test_the_threshold_itself_is_kept():
    image = np.zeros((60, 60), np.float32)
    image[20:40, 20:40] = 50
    assert brain_box(image, margin=0) == (18, 42, 18, 42)
    image[20:40, 20:40] = np.nextafter(np.float32(50), np.float32(0))
    assert brain_box(image, margin=0) == (0, 60, 0, 60)
    assert brain_box(image, margin=0, threshold=49.5) == (18, 42, 18, 42)


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int16, np.uint16, np.int32, np.int64, np.float16, np.float32, np.float64]
)
def test_every_type_gives_the_same_box(dtype):
    image = blobs(80, 70, [(10, 12, 40, 30, 200), (60, 50, 8, 8, 90)], noise=True, seed=3)
    assert brain_box(image.astype(dtype)) == brain_box(image)
    assert brain_box(np.asfortranarray(image.astype(dtype))) == brain_box(image)
    turned = np.ascontiguousarray(image[::-1, ::-1])
    assert brain_box(image.astype(dtype)[::-1, ::-1]) == brain_box(turned)


def test_nan_is_background_and_the_input_is_not_written_to():
    image = np.full((50, 50), np.nan, np.float32)
    image[10:40, 15:35] = 120
    before = image.copy()
    assert brain_box(image, margin=0) == (8, 42, 13, 37)
    np.testing.assert_array_equal(image, before)


def test_without_blur_and_erosion_a_pixel_is_a_brain():
    image = np.zeros((30, 30), np.uint8)
    image[7, 9] = 60
    assert brain_box(image, blur=1, erosions=0, dilations=0, margin=2) == (5, 10, 7, 12)
    assert brain_box(image, blur=1, erosions=1, dilations=0, margin=2) == (0, 30, 0, 30)


@pytest.mark.parametrize(
    "bad", [{"blur": 4}, {"blur": 0}, {"erosions": -1}, {"dilations": -1}, {"margin": -1}]
)
def test_impossible_settings_are_refused(bad):
    with pytest.raises(ConfigurationError, match=next(iter(bad))):
        brain_box(np.zeros((8, 8), np.uint8), **bad)
    with pytest.raises(ConfigurationError, match=next(iter(bad))):
        BrainCrop(**bad)


@pytest.mark.parametrize("margin", [(15, 10), (-1, 3)])
def test_impossible_margins_are_refused(margin):
    with pytest.raises(ConfigurationError, match="margin"):
        RandBrainCrop(margin=margin)


def test_wrong_shapes_are_refused():
    with pytest.raises(DataError, match=r"\(H, W\)"):
        brain_box(np.zeros((1, 8, 8), np.uint8))
    with pytest.raises(DataError, match=r"\(C, H, W\)"):
        BrainCrop()(np.zeros((8, 8), np.uint8))


@pytest.fixture
def image():
    return blobs(90, 110, [(30, 40, 30, 40, 150)], noise=False, seed=0)[None]


@pytest.mark.parametrize("channels", [1, 3])
def test_the_cut_is_of_the_original_and_of_the_same_type(image, channels):
    image = np.repeat(image, channels, axis=0)
    image[:, 35, 45] = 7  # below the threshold: kept in the cut
    top, bottom, left, right = by_opencv(image[0])
    wanted = image[:, top:bottom, left:right]
    crop = BrainCrop()
    got = crop(image)
    assert type(got) is np.ndarray and got.dtype == image.dtype
    np.testing.assert_array_equal(got, wanted)
    for dtype in (torch.uint8, torch.float32, torch.bfloat16):
        tensor = crop(torch.from_numpy(image).to(dtype))
        assert type(tensor) is torch.Tensor and tensor.dtype == dtype
        np.testing.assert_array_equal(tensor.float().numpy(), wanted)
    meta = crop(MetaTensor(torch.from_numpy(image)))
    assert isinstance(meta, MetaTensor)
    np.testing.assert_array_equal(meta.numpy(), wanted)


def test_a_metatensor_remembers_the_cut(image):
    whole = MetaTensor(torch.from_numpy(image).float())
    crop = BrainCrop()
    cut = crop(whole)
    back = crop.inverse(cut)
    assert back.shape == whole.shape and not back.applied_operations
    top, bottom, left, right = by_opencv(image[0])
    torch.testing.assert_close(
        back[:, top:bottom, left:right].as_tensor(), whole[:, top:bottom, left:right].as_tensor()
    )
    d = BrainCropd(["image"])
    assert d.inverse(d({"image": whole}))["image"].shape == whole.shape


def test_without_tracking_a_metatensor_is_cut_alike(image):
    whole = MetaTensor(torch.from_numpy(image).float())
    set_track_meta(False)
    try:
        cut = BrainCrop()(whole)
    finally:
        set_track_meta(True)
    top, bottom, left, right = by_opencv(image[0])
    assert cut.shape == (1, bottom - top, right - left)


def test_the_dictionary_form_cuts_all_keys_alike(image):
    item = {"image": torch.from_numpy(image), "mask": torch.zeros(1, 90, 110), "label": 2}
    top, bottom, left, right = by_opencv(image[0])
    for crop in (
        BrainCropd(["image", "mask"]),
        BrainCropd(["mask", "image"], source_key="image"),
        BrainCropd(["image", "mask", "else"], allow_missing_keys=True),
    ):
        out = crop(item)
        assert out["image"].shape == out["mask"].shape == (1, bottom - top, right - left)
        assert out["label"] == 2 and item["image"].shape == (1, 90, 110)


def test_missing_keys_are_named_or_passed_over(image):
    assert BrainCropd("image", allow_missing_keys=True)({"label": 1}) == {"label": 1}
    with pytest.raises(KeyError, match="image"):
        BrainCropd("image")({"label": 1})
    with pytest.raises(DataError, match="scan"):
        BrainCropd("image", source_key="scan")({"image": image})


def test_the_random_margin_takes_every_value_and_follows_its_seed(image):
    crop = RandBrainCrop(margin=(10, 15)).set_random_state(0)
    heights = [crop(image).shape[1] for _ in range(60)]
    bare = BrainCrop(margin=0)(image).shape[1]
    assert {h - bare for h in heights} == {2 * m for m in range(10, 16)}
    assert heights == [crop(image).shape[1] for crop in [crop.set_random_state(0)] for _ in range(60)]
    last = crop(image).shape
    assert all(crop(image, randomize=False).shape == last for _ in range(5))


def test_the_random_dictionary_form_draws_once_for_all_keys(image):
    crop = RandBrainCropd(["image", "mask"])
    chain = Compose([crop]).set_random_state(5)
    seen = []
    for _ in range(40):
        out = chain({"image": image, "mask": image})
        assert out["image"].shape == out["mask"].shape
        seen.append(out["image"].shape)
    assert len(set(seen)) == 6
    chain.set_random_state(5)
    assert seen == [chain({"image": image, "mask": image})["image"].shape for _ in range(40)]


def real_slices(count):
    root = os.environ.get("MONAI_BRAIN_DATA")
    if not root:
        pytest.skip("MONAI_BRAIN_DATA does not name a folder of real images")
    folder = Path(root) / "figshare3064"
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    step = max(1, len(rows) // count)
    return [cv2.imread(str(folder / row["file"]), cv2.IMREAD_GRAYSCALE) for row in rows[::step]]


@pytest.mark.real_data
def test_real_slices():
    cropped = 0
    for image in real_slices(60):
        for margin in (10, 15):
            assert brain_box(image, margin=margin) == by_opencv(image, margin)
        box = brain_box(image)
        assert box == by_opencv(image)
        assert agrees_with_scipy(image, box, 12)
        assert brain_box(image.astype(np.float32)) == box
        cropped += box != (0, image.shape[0], 0, image.shape[1])
    assert cropped > 30


@pytest.mark.real_data
@pytest.mark.slow
def test_speed_beside_the_bare_steps():
    images = [image for image in real_slices(60) if image.shape == (512, 512)]

    def bare(image):
        grey = cv2.threshold(image, 49, 255, cv2.THRESH_TOZERO)[1]
        grey = cv2.GaussianBlur(grey, (5, 5), 0)
        grey = cv2.dilate(cv2.erode(grey, None, iterations=2), None, iterations=2)
        contours, _ = cv2.findContours(grey, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        x, y, w, h = cv2.boundingRect(max(contours, key=cv2.contourArea))
        return image[max(y - 12, 0) : y + h + 12, max(x - 12, 0) : x + w + 12]

    crop = BrainCrop()
    channel_first = [image[None] for image in images]

    def seconds(function, inputs):
        start = time.perf_counter()
        for image in inputs:
            function(image)
        return time.perf_counter() - start

    ratios = [seconds(bare, images) / seconds(crop, channel_first) for _ in range(9)]
    assert np.median(ratios) >= 0.85

"""The reader of slices: right grey values from every format, one honest line for every bad file."""

from __future__ import annotations

import importlib
import io
import json
import os
import pickle
import pkgutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_brain.data.reader import SliceReader, read_slice
from monai_brain.data.slices import UnreadableImageError
from monai_brain.errors import DataError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (20, 30), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)


def encoded(image, form="PNG", **options) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(stream, form, **options)
    return stream.getvalue()


@pytest.fixture
def save(tmp_path):
    def put(content: bytes, name="a.png") -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return put


def luminance_601(colour):
    """The rule by hand, in floating point."""
    return colour.astype(np.float64) @ [0.299, 0.587, 0.114]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def header(height, width, bits=8, colour=0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))


def test_grey_png_is_rows_down_and_unchanged(save):
    image, meta = read_slice(save(encoded(GREY)))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, GREY)
    assert meta["stored_dtype"] == "uint8"
    assert list(meta["spatial_shape"]) == [20, 30]


def test_16_bit_png_is_not_clipped(save):
    wide = RNG.integers(0, 65536, (20, 30)).astype(np.uint16)
    image, meta = read_slice(save(encoded(wide)))
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, wide)
    assert meta["stored_dtype"] == "uint16"


def test_16_bit_colour_png(save):
    wide = RNG.integers(0, 65536, (4, 5, 3)).astype(">u2")
    rows = b"".join(b"\x00" + row.tobytes() for row in wide)
    content = png(header(4, 5, 16, 2), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    image, _ = read_slice(save(content))
    assert image.dtype == np.uint16
    np.testing.assert_allclose(image, luminance_601(wide), atol=4)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_equal_channels_give_that_channel_exactly(save, form):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image, _ = read_slice(save(encoded(np.dstack([ramp] * 3), form)))
    np.testing.assert_array_equal(image, ramp)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_colour_becomes_luminance(save, form):
    image, _ = read_slice(save(encoded(COLOUR, form)))
    np.testing.assert_allclose(image, luminance_601(COLOUR), atol=0.51)


def test_colour_jpeg_becomes_luminance(save):
    smooth = np.dstack([np.tile(np.linspace(20, 230, 64), (64, 1))] * 3) * [1, 0.7, 0.4]
    smooth = smooth.astype(np.uint8)
    image, meta = read_slice(save(encoded(smooth, "JPEG", quality=100, subsampling=0), "a.jpg"))
    np.testing.assert_allclose(image, luminance_601(smooth), atol=2)
    assert meta["format"] == "jpeg"


def test_alpha_lays_the_image_over_black(save):
    alpha = np.zeros((20, 30), np.uint8)
    alpha[:10] = 255
    alpha[10:15] = 128
    image, _ = read_slice(save(encoded(np.dstack([COLOUR, alpha]))))
    np.testing.assert_allclose(image, luminance_601(COLOUR) * (alpha / 255.0), atol=1.01)
    assert not image[15:].any()


def test_opaque_alpha_changes_nothing(save):
    with_alpha, _ = read_slice(save(encoded(np.dstack([COLOUR, np.full((20, 30), 255, np.uint8)]))))
    without, _ = read_slice(save(encoded(COLOUR), "b.png"))
    np.testing.assert_array_equal(with_alpha, without)


def test_palette_gives_the_colours_it_names(save):
    picture = Image.fromarray(COLOUR).quantize(16)
    expected = luminance_601(np.asarray(picture.convert("RGB")))
    for form in ("PNG", "GIF", "BMP"):
        image, _ = read_slice(save(encoded(picture, form)))
        np.testing.assert_allclose(image, expected, atol=0.51)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM"])
def test_one_bit_is_black_and_white(save, form):
    bits = GREY > 127
    image, _ = read_slice(save(encoded(Image.fromarray(bits), form)))
    np.testing.assert_array_equal(image, np.where(bits, 255, 0))
    assert image.dtype == np.uint8


def test_cmyk_jpeg(save):
    flat = np.kron(GREY[:2, :3], np.ones((16, 16), np.uint8))
    picture = Image.fromarray(flat).convert("CMYK")
    image, _ = read_slice(save(encoded(picture, "JPEG", quality=100)))
    np.testing.assert_allclose(image, flat, atol=3)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_wide_tiff(save, dtype):
    wide = (RNG.random((20, 30)) * 60000).astype(dtype)
    image, meta = read_slice(save(encoded(wide, "TIFF")))
    np.testing.assert_array_equal(image, wide)
    assert meta["stored_dtype"] == np.dtype(dtype).name


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(save, orientation):
    blocks = np.kron(GREY[:2, :3], np.ones((16, 16), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = {
        1: blocks,
        2: np.fliplr(blocks),
        3: np.rot90(blocks, 2),
        4: np.flipud(blocks),
        5: blocks.T,
        6: np.rot90(blocks, -1),
        7: np.rot90(blocks, 2).T,
        8: np.rot90(blocks, 1),
    }[orientation]
    for form, slack in (("PNG", 0), ("JPEG", 3), ("TIFF", 0)):
        image, _ = read_slice(save(encoded(blocks, form, exif=exif)))
        np.testing.assert_allclose(image, turned, atol=slack)


def test_content_and_not_suffix_decides(save):
    _, meta = read_slice(save(encoded(GREY, "JPEG"), "really_a_jpeg.png"))
    assert meta["format"] == "jpeg"


def test_meta_holds_nothing_of_what_the_file_says_about_a_person(save):
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("PatientName", "Doe^Jane")
    _, meta = read_slice(save(encoded(GREY, pnginfo=info)))
    assert "Doe" not in repr(meta)
    assert set(meta) == {"format", "stored_dtype", "spatial_shape", "original_channel_dim", "affine"}


def animated(form):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    return encoded(frames[0], form, save_all=True, append_images=frames[1:])


WHOLE_PNG, WHOLE_JPEG = encoded(GREY), encoded(GREY, "JPEG")
FLIPPED = bytearray(WHOLE_PNG)
FLIPPED[WHOLE_PNG.index(b"IDAT") + 20] ^= 1
EXIF_THUMB = WHOLE_JPEG[:2] + b"\xff\xe1\x00\x0aExif\x00\x00\xff\xd9" + WHOLE_JPEG[2:-2]

BAD = {
    "empty": (b"", "empty"),
    "one byte": (b"\x89", "not an image"),
    "zeros": (bytes(500), "not an image"),
    "text": (b"image,label\na.png,1\n", "text"),
    "html": (b"<!DOCTYPE html><html><body>404</body></html>", "text"),
    "noise": (RNG.bytes(3000), "not an image"),
    "png signature only": (png(), "truncated"),
    "png cut": (WHOLE_PNG[: len(WHOLE_PNG) // 2], "truncated"),
    "png one byte short": (WHOLE_PNG[:-1], "truncated"),
    "png crc": (bytes(FLIPPED), "CRC"),
    "png without pixels": (png(header(4, 4), chunk(b"IEND", b"")), "damaged"),
    "png of rubbish": (png(header(4, 4), chunk(b"IDAT", b"rubbish"), chunk(b"IEND", b"")), "damaged"),
    "png 0 rows": (png(header(0, 4), chunk(b"IEND", b"")), "0 rows"),
    "png 20000 x 20000": (png(header(20000, 20000), chunk(b"IEND", b"")), "too large"),
    "animated png": (animated("PNG"), "several frames"),
    "animated gif": (animated("GIF"), "several frames"),
    "gif cut": (encoded(GREY, "GIF")[:100], "damaged"),
    "tiff of two pages": (animated("TIFF"), "several frames"),
    "tiff cut": (encoded(GREY, "TIFF")[:60], "damaged"),
    "jpeg cut": (WHOLE_JPEG[: len(WHOLE_JPEG) - 40], "truncated"),
    "jpeg end missing": (WHOLE_JPEG[:-2], "truncated"),
    "jpeg whose thumbnail alone ends": (EXIF_THUMB, "truncated"),
    "jpeg header cut": (WHOLE_JPEG[:30], "truncated"),
    "jpeg header broken": (WHOLE_JPEG[:2] + b"\xff\xe0\x00\x10" + bytes(300), "damaged"),
    "black": (encoded(np.zeros((9, 9), np.uint8)), "no contrast"),
    "grey jpeg all one value": (encoded(np.full((9, 9), 77, np.uint8), "JPEG"), "no contrast"),
    "one pixel": (encoded(GREY[:1, :1]), "no contrast"),
    "all nan": (encoded(np.full((9, 9), np.nan, np.float32), "TIFF"), "no contrast"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_give_one_line_with_name_and_reason(save, name):
    content, reason = BAD[name]
    with pytest.raises(DataError) as caught:
        read_slice(save(content, "bad.png"))
    message = str(caught.value)
    assert message.startswith("bad.png: ")
    assert reason in message
    assert len(message.split(": ", 2)) == 3
    assert "\n" not in message


def test_every_cut_of_a_file_is_refused_or_reads_whole(save):
    for whole in (WHOLE_PNG, encoded(GREY, "JPEG", progressive=True)):
        for length in range(0, len(whole) - 1, 7):
            with pytest.raises(UnreadableImageError):
                read_slice(save(whole[:length]))


def test_every_flipped_bit_of_a_png_is_found(save):
    for position in range(8, len(WHOLE_PNG), 11):
        flipped = bytearray(WHOLE_PNG)
        flipped[position] ^= 0x10
        with pytest.raises(UnreadableImageError):
            read_slice(save(bytes(flipped)))


def test_the_cap_comes_before_decoding(save):
    """A 100 megapixel PNG is a bomb of 100 kB here; its pixels are never unpacked."""
    rows = zlib.compress(bytes(10001) * 10000, 9)
    content = png(header(10000, 10000), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    with pytest.raises(UnreadableImageError, match="10000 x 10000"):
        read_slice(save(content))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_file_never_blocks(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    for path in (tmp_path, tmp_path / "pipe.png", Path("/dev/null"), tmp_path / "loop.png", "a\0b.png"):
        with pytest.raises(UnreadableImageError, match="not a file"):
            read_slice(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(UnreadableImageError, match=r"absent\.png: missing"):
        read_slice(tmp_path / "absent.png")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(save):
    path = save(WHOLE_PNG)
    path.chmod(0)
    with pytest.raises(UnreadableImageError, match="no permission"):
        read_slice(path)


def test_the_name_can_be_hidden_and_the_error_travels_between_processes(tmp_path):
    with pytest.raises(UnreadableImageError) as caught:
        read_slice(tmp_path / "Doe^Jane.png")
    error = pickle.loads(pickle.dumps(caught.value))
    assert str(error) == str(caught.value)
    assert "Doe" not in f"{error.reason}: {error.detail}"


@pytest.fixture(params=["instance", "string", "bundle"])
def loader(request):
    """LoadImaged with the reader in each way that a recipe may name it."""
    from monai.bundle import ConfigParser
    from monai.transforms import LoadImaged

    dotted = "monai_brain.data.reader.SliceReader"

    def make(**options):
        if request.param == "bundle":
            config = {
                "_target_": "monai.transforms.LoadImaged",
                "keys": "image",
                "reader": {"_target_": dotted},
            }
            parser = ConfigParser(json.loads(json.dumps({"load": config | options})))
            return parser.get_parsed_content("load")
        return LoadImaged("image", reader=SliceReader() if request.param == "instance" else dotted, **options)

    return make


def test_through_monai_the_meta_is_whole(save, loader):
    from monai.data import MetaTensor
    from monai.transforms import EnsureChannelFirstd

    path = save(encoded(GREY))
    image = EnsureChannelFirstd("image")(loader()({"image": str(path)}))["image"]
    assert isinstance(image, MetaTensor)
    assert image.shape == (1, 20, 30)
    np.testing.assert_array_equal(image[0].numpy(), GREY)
    assert image.meta["filename_or_obj"] == str(path)
    assert image.meta["stored_dtype"] == "uint8"
    np.testing.assert_array_equal(image.affine.numpy(), np.eye(4))


def test_through_monai_with_the_meta_apart(save, loader):
    data = loader(image_only=False, ensure_channel_first=True)({"image": str(save(encoded(GREY)))})
    assert data["image"].shape == (1, 20, 30)
    assert data["image_meta_dict"]["filename_or_obj"].endswith("a.png")


def test_monai_does_not_try_other_readers_after_a_refusal(save, loader):
    """Pillow would read the first frame of an animated GIF."""
    with pytest.raises(UnreadableImageError, match="several frames"):
        loader()({"image": str(save(animated("GIF"), "a.gif"))})


def test_several_files_in_one_item_are_refused(save, loader):
    paths = [str(save(encoded(GREY), name)) for name in ("a.png", "b.png")]
    with pytest.raises(UnreadableImageError, match="several files"):
        loader()({"image": paths})


def test_batches_of_different_formats_collate(save):
    from monai.data import DataLoader, Dataset
    from monai.transforms import LoadImaged

    files = [{"image": str(save(encoded(GREY), "a.png"))}, {"image": str(save(WHOLE_JPEG, "b.jpg"))}]
    loading = LoadImaged("image", reader=SliceReader(), ensure_channel_first=True)
    batch = next(iter(DataLoader(Dataset(files, loading), batch_size=2)))["image"]
    assert batch.shape == (2, 1, 20, 30)


def test_monais_savers_take_the_result(save, tmp_path):
    from monai.transforms import LoadImage, SaveImage

    image = LoadImage(reader=SliceReader(), ensure_channel_first=True)(save(encoded(GREY)))
    out = tmp_path / "out"
    SaveImage(out, output_ext=".png", writer="PILWriter", separate_folder=False, print_log=False)(image)
    (saved,) = out.iterdir()
    assert np.asarray(Image.open(saved)).size == GREY.size


def test_the_reader_travels_to_spawned_workers():
    assert pickle.loads(pickle.dumps(SliceReader(frame=2))).options.frame == 2


def test_no_name_of_these_rooms_is_one_that_monai_finds():
    """MONAI looks for a bare `_target_` in every loaded module whose name begins with "monai"."""
    from monai.bundle import ComponentLocator

    import monai_brain.data
    import monai_brain.transforms

    locator = ComponentLocator()
    locator.get_component_module_name("Resize")
    theirs = {name for name, where in locator._components_table.items() if where[0].startswith("monai.")}
    assert "LoadImaged" in theirs
    for room in (monai_brain.data, monai_brain.transforms):
        for found in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
            module = importlib.import_module(found.name)
            ours = {
                name for name, what in vars(module).items() if getattr(what, "__module__", "") == found.name
            }
            assert not ours & theirs

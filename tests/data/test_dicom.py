"""DICOM: the right values the right way up, one line for every bad file, nothing about the person."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from monai_brain.data.reader import SliceReader, read_slice
from monai_brain.data.slices import UnreadableImageError
from monai_brain.errors import MissingExtraError

pydicom = pytest.importorskip("pydicom")

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402
from pydicom.sequence import Sequence  # noqa: E402
from pydicom.uid import (  # noqa: E402
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

RNG = np.random.default_rng(0)
WIDE = RNG.integers(0, 4000, (24, 20)).astype(np.uint16)
MR, SR = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.88.11"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"


def made(pixels=WIDE, **changes) -> Dataset:
    """A plain MR image; a change of None takes the element away."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = changes.pop("sop_class", MR)
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = changes.pop("syntax", ExplicitVRLittleEndian)
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "Doe^Jane", "SECRET42", "19700101"
    dataset.Modality, dataset.PhotometricInterpretation = "MR", "MONOCHROME2"
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 and pixels.shape[-1] == 3 else 1
    dataset.Rows, dataset.Columns = pixels.shape[:2] if dataset.SamplesPerPixel == 3 else pixels.shape[-2:]
    dataset.BitsAllocated = dataset.BitsStored = pixels.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    if dataset.SamplesPerPixel == 3:
        dataset.PlanarConfiguration = 0
    dataset.PixelData = pixels.tobytes()
    for keyword, value in changes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    if "PixelData" in dataset:
        native = meta.TransferSyntaxUID == ExplicitVRLittleEndian
        dataset["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 or not native else "OW"
    return dataset


@pytest.fixture
def save(tmp_path):
    def put(dataset, name="a.dcm") -> Path:
        path = tmp_path / name
        if isinstance(dataset, bytes):
            path.write_bytes(dataset)
            return path
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if int(pydicom.__version__.split(".")[0]) < 3:
                dataset.is_little_endian, dataset.is_implicit_VR = True, False
                pydicom.dcmwrite(str(path), dataset, write_like_original=False)
            else:
                options = {"implicit_vr": False, "little_endian": True, "enforce_file_format": True}
                known = dataset.file_meta.TransferSyntaxUID.is_transfer_syntax
                pydicom.dcmwrite(
                    str(path), dataset, **options if not known else {"enforce_file_format": True}
                )
        return path

    return put


def test_plain_pixels(save):
    image, meta = read_slice(save(made()))
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, WIDE)
    assert meta["format"] == "dicom"
    assert meta["modality"] == "MR"
    assert meta["inverted"] is False


def test_eight_bits_stay_uint8(save):
    small = RNG.integers(0, 200, (8, 9), dtype=np.uint8)
    image, meta = read_slice(save(made(small)))
    np.testing.assert_array_equal(image, small)
    assert meta["stored_dtype"] == "uint8"


def test_six_bits_in_eight_are_not_taken_for_eight(save):
    small = RNG.integers(0, 64, (8, 9), dtype=np.uint8)
    _, meta = read_slice(save(made(small, BitsStored=6, HighBit=5)))
    assert meta["stored_dtype"] == "uint16"


def test_signed_values_with_slope_and_intercept(save):
    signed = RNG.integers(-1000, 1000, (8, 9)).astype(np.int16)
    image, _ = read_slice(save(made(signed, RescaleSlope="2.5", RescaleIntercept="-100")))
    np.testing.assert_allclose(image, signed * 2.5 - 100)


def test_modality_lut(save):
    table = Dataset()
    table.ModalityLUTType = "US"
    table.add_new("LUTDescriptor", "US", [16, 0, 16])
    table.add_new("LUTData", "US", list(range(900, 2500, 100)))
    pixels = RNG.integers(0, 16, (8, 9)).astype(np.uint16)
    image, _ = read_slice(save(made(pixels, ModalityLUTSequence=Sequence([table]))))
    np.testing.assert_array_equal(image, 900 + 100 * pixels)


@pytest.mark.parametrize(
    "changes",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationLUTShape": "INVERSE"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    ],
)
def test_inverted_images_are_turned_over_once_and_say_so(save, changes):
    image, meta = read_slice(save(made(**changes)))
    np.testing.assert_array_equal(image, int(WIDE.max()) + int(WIDE.min()) - WIDE.astype(int))
    assert meta["inverted"] is True


def test_inverted_eight_bits(save):
    small = RNG.integers(0, 200, (8, 9), dtype=np.uint8)
    image, _ = read_slice(save(made(small, PhotometricInterpretation="MONOCHROME1")))
    np.testing.assert_array_equal(image, 255 - small)


def test_inverted_signed(save):
    signed = RNG.integers(-32768, 32767, (8, 9)).astype(np.int16)
    image, _ = read_slice(save(made(signed, PhotometricInterpretation="MONOCHROME1")))
    wide = signed.astype(int)
    np.testing.assert_array_equal(image, wide.max() + wide.min() - wide)


def by_hand(values, centre, width, top):
    """DICOM PS3.3 C.11.2.1.2.1, the linear window, onto 0..top."""
    scaled = ((values - (centre - 0.5)) / (width - 1) + 0.5) * top
    return np.clip(scaled, 0, top)


WINDOW = {"WindowCenter": "1500", "WindowWidth": "800"}


def test_a_mammograms_window_is_applied_and_an_mr_images_is_not(save):
    expected = by_hand(WIDE.astype(float), 1500, 800, 65535)
    image, meta = read_slice(save(made(Modality="MG", ViewPosition="MLO", ImageLaterality="R", **WINDOW)))
    np.testing.assert_allclose(image, expected, rtol=1e-5)
    assert (meta["view_position"], meta["laterality"]) == ("MLO", "R")
    np.testing.assert_array_equal(read_slice(save(made(**WINDOW)))[0], WIDE)
    np.testing.assert_allclose(read_slice(save(made(**WINDOW)), voi=True)[0], expected, rtol=1e-5)
    np.testing.assert_array_equal(read_slice(save(made(Modality="MG", **WINDOW)), voi=False)[0], WIDE)


def test_the_voi_lut_goes_before_the_window(save):
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [4096, 0, 16])
    table.add_new("LUTData", "US", [10 * i for i in range(4096)])
    image, _ = read_slice(save(made(Modality="MG", VOILUTSequence=Sequence([table]), **WINDOW)))
    np.testing.assert_array_equal(image, 10 * WIDE.astype(int))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_becomes_the_darkest_value_seen(save, photometric):
    pixels = np.clip(WIDE, 100, 3000)
    pixels[:3] = 65000
    image, _ = read_slice(save(made(pixels, PixelPaddingValue=65000, PhotometricInterpretation=photometric)))
    assert image[:3].max() == image[3:].min()
    assert np.ptp(image) == np.ptp(pixels[3:])


def test_padding_of_zero_leaves_the_ground_of_an_8_bit_image_black(save):
    small = RNG.integers(30, 200, (8, 9), dtype=np.uint8)
    small[:2] = 0
    np.testing.assert_array_equal(read_slice(save(made(small, PixelPaddingValue=0)))[0], small)


def test_colour_becomes_luminance(save):
    colour = RNG.integers(0, 256, (8, 9, 3), dtype=np.uint8)
    image, _ = read_slice(save(made(colour, PhotometricInterpretation="RGB")))
    np.testing.assert_allclose(image, colour @ [0.299, 0.587, 0.114], atol=0.51)
    assert image.dtype == np.uint8


def test_ybr_gives_its_luminance(save):
    ybr = RNG.integers(100, 156, (8, 10, 3), dtype=np.uint8)
    image, _ = read_slice(save(made(ybr, PhotometricInterpretation="YBR_FULL")))
    np.testing.assert_allclose(image, ybr[..., 0], atol=1.6)


def test_palette(save):
    changes = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour, factor in (("Red", 1), ("Green", 2), ("Blue", 3)):
        changes[f"{colour}PaletteColorLookupTableDescriptor"] = [64, 0, 16]
        changes[f"{colour}PaletteColorLookupTableData"] = (
            (np.arange(64) * factor * 300).astype("<u2").tobytes()
        )
    pixels = RNG.integers(0, 64, (8, 10), dtype=np.uint8)
    image, _ = read_slice(save(made(pixels, **changes)))
    np.testing.assert_allclose(image, pixels * 300.0 * (0.299 + 2 * 0.587 + 3 * 0.114), atol=4)


FRAMES = RNG.integers(0, 4000, (3, 8, 9)).astype(np.uint16)


def test_a_frame_must_be_chosen(save):
    path = save(made(FRAMES, NumberOfFrames=3))
    with pytest.raises(UnreadableImageError, match="several frames: it holds 3"):
        read_slice(path)
    for frame in (1, 3):
        image, meta = read_slice(path, frame=frame)
        np.testing.assert_array_equal(image, FRAMES[frame - 1])
        assert meta["frame"] == frame
    for frame in (0, 4, -1):
        with pytest.raises(UnreadableImageError, match="no such frame"):
            read_slice(path, frame=frame)


def test_enhanced_objects_keep_slope_by_frame(save):
    def group(slope):
        item, values = Dataset(), Dataset()
        values.RescaleSlope, values.RescaleIntercept = slope, "1"
        item.PixelValueTransformationSequence = Sequence([values])
        return item

    groups = Sequence([group(str(slope)) for slope in (1, 2, 3)])
    path = save(made(FRAMES, NumberOfFrames=3, PerFrameFunctionalGroupsSequence=groups))
    for frame in (1, 2, 3):
        np.testing.assert_allclose(read_slice(path, frame=frame)[0], FRAMES[frame - 1] * float(frame) + 1)


def test_the_affine_leads_from_rows_and_columns_to_ras(save):
    place = {"PixelSpacing": ["2", "0.5"], "ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}
    _, meta = read_slice(save(made(**place, ImagePositionPatient=["-10", "20", "30"])))
    # Coronal: columns run to the left (LPS +x), rows to the feet (-z).
    np.testing.assert_allclose(meta["affine"] @ [3, 4, 0, 1], [10 - 4 * 0.5, -20, 30 - 3 * 2, 1])


def rle(pixels):
    dataset = made(pixels)
    dataset.compress(RLELossless)
    return dataset


def test_rle_is_bit_equal(save):
    dataset = rle(WIDE)
    np.testing.assert_array_equal(read_slice(save(dataset))[0], WIDE)


def test_jpeg_2000_is_bit_equal(save):
    import io

    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(WIDE).save(stream, "JPEG2000", no_jp2=True, irreversible=False)
    dataset = made(syntax=JPEG2000Lossless)
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    np.testing.assert_array_equal(read_slice(save(dataset))[0], WIDE)


def jpeg_lossless(pixels, **changes):
    """The image as JPEG Lossless, the frames encoded by ITK."""
    itk = pytest.importorskip("itk")
    import tempfile

    frames = []
    for frame in pixels.reshape(-1, *pixels.shape[-2:]):
        writer = itk.GDCMImageIO.New()
        writer.SetCompressionType(itk.GDCMImageIOEnums.Compression_JPEG)
        writer.UseCompressionOn()
        with tempfile.TemporaryDirectory() as folder:
            name = f"{folder}/a.dcm"
            whole = itk.image_from_array(np.ascontiguousarray(frame))
            itk.ImageFileWriter.New(whole, FileName=name, ImageIO=writer, UseCompression=True).Update()
            encoded = pydicom.dcmread(name)
        assert encoded.file_meta.TransferSyntaxUID == JPEGLosslessSV1
        length = int.from_bytes(encoded.PixelData[12:16], "little")  # behind the empty offset table and a tag
        frames.append(encoded.PixelData[16 : 16 + length])
    dataset = made(pixels, syntax=JPEGLosslessSV1, **changes)
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].is_undefined_length = True
    return dataset


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationLUTShape": "INVERSE"},
        {"RescaleSlope": "2", "RescaleIntercept": "-10"},
        {"PhotometricInterpretation": "MONOCHROME1", "Modality": "MG", **WINDOW},
        {"PixelPaddingValue": int(WIDE[0, 0]), "PhotometricInterpretation": "MONOCHROME1"},
        {"BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": "MONOCHROME1"},
    ],
    ids=lambda changes: " ".join(changes) or "plain",
)
def test_jpeg_lossless_gives_what_the_same_image_gives_uncompressed(save, changes):
    """ITK, which decodes it, turns MONOCHROME1 over and rescales by itself: nothing may be done twice."""
    expected, told = read_slice(save(made(WIDE, **changes), "plain.dcm"))
    image, meta = read_slice(save(jpeg_lossless(WIDE, **changes), "packed.dcm"))
    np.testing.assert_array_equal(image, expected)
    assert image.dtype == expected.dtype
    assert meta["inverted"] == told["inverted"]


def test_a_frame_of_jpeg_lossless(save):
    path = save(jpeg_lossless(FRAMES, NumberOfFrames=3))
    for frame in (1, 2, 3):
        np.testing.assert_array_equal(read_slice(path, frame=frame)[0], FRAMES[frame - 1])
    signed = RNG.integers(-900, 900, (8, 9)).astype(np.int16)
    np.testing.assert_array_equal(read_slice(save(jpeg_lossless(signed)))[0], signed)


def test_nothing_about_the_person_is_kept(save):
    from monai.transforms import LoadImage

    image = LoadImage(reader=SliceReader(), ensure_channel_first=True)(save(made()))
    told = repr(image.meta)
    for secret in ("Doe", "SECRET42", "1970"):
        assert secret not in told


def test_burned_in_text_is_flagged(save):
    assert read_slice(save(made(BurnedInAnnotation="YES")))[1]["burned_in"] is True


def test_a_code_that_is_no_code_is_not_passed_on(save):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = save(made(ViewPosition="Doe^Jane, born 1970"))
    assert read_slice(path)[1]["view_position"] == ""


def content(dataset, save):
    return save(dataset, "whole.dcm").read_bytes()


def deep(tag: bytes) -> bytes:
    """A sequence in a sequence, 2000 deep, none of them with a length."""
    opened = tag + b"SQ\x00\x00" + b"\xff" * 4 + b"\xfe\xff\x00\xe0" + b"\xff" * 4
    closed = b"\xfe\xff\x0d\xe0" + bytes(4) + b"\xfe\xff\xdd\xe0" + bytes(4)
    return opened * 2000 + closed * 2000


def encapsulated(fragment, syntax):
    dataset = made(syntax=syntax)
    dataset.PixelData = encapsulate([fragment])
    dataset["PixelData"].is_undefined_length = True
    return dataset


CASES = {
    "cut at 131": (lambda save: content(made(), save)[:131], "not an image"),
    "cut at 132": (lambda save: content(made(), save)[:132], "no pixels"),
    "header cut": (lambda save: content(made(), save)[:300], ""),
    "pixels halved": (lambda save: content(made(), save)[:-480], "damaged"),
    "one byte short": (lambda save: content(made(), save)[:-1], "damaged"),
    "no PixelData": (lambda save: made(PixelData=None), "no pixels"),
    "no Rows": (lambda save: made(Rows=None), "Rows is missing"),
    "Rows 0": (lambda save: made(Rows=0), "0 rows"),
    "60000 x 60000": (lambda save: made(Rows=60000, Columns=60000), "too large"),
    "endless frames": (lambda save: made(NumberOfFrames=2_000_000_000), "too large"),
    "no photometric": (lambda save: made(PhotometricInterpretation=None), "PhotometricInterpretation"),
    "slope 0": (lambda save: made(RescaleSlope="0", RescaleIntercept="0"), "no contrast"),
    "constant": (lambda save: made(np.full((8, 9), 77, np.uint16)), "no contrast"),
    "unknown syntax": (lambda save: made(syntax=pydicom.uid.UID("1.2.3.4.5")), "unknown transfer syntax"),
    "rle garbage": (lambda save: encapsulated(b"\x07" * 400, RLELossless), "damaged"),
    "j2k garbage": (lambda save: encapsulated(b"\x07" * 400, JPEG2000Lossless), "damaged"),
    "jpeg-ls garbage": (lambda save: encapsulated(b"\x07" * 400, JPEGLSLossless), ""),
    "jpeg lossless garbage": (lambda save: encapsulated(b"\x07" * 400, JPEGLosslessSV1), ""),
    "report": (lambda save: made(sop_class=SR, PixelData=None), "Basic Text SR"),
    "pdf": (lambda save: made(sop_class=PDF, PixelData=None), "Encapsulated PDF"),
    "dicomdir": (lambda save: made(sop_class="1.2.840.10008.1.3.10", PixelData=None), "DICOMDIR"),
    "program": (lambda save: b"MZ" + content(made(), save)[2:], "unsafe"),
    "no preamble": (lambda save: content(made(), save)[132:], "force"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_files_give_one_line_without_a_word_of_theirs(save, name):
    make, reason = CASES[name]
    path = save(make(save), "bad.dcm")
    with pytest.raises(UnreadableImageError) as caught:
        read_slice(path)
    message = str(caught.value)
    assert message.startswith("bad.dcm: ")
    assert reason in message
    assert "\n" not in message
    assert "Doe" not in message


def test_frames_that_are_claimed_but_not_there(save):
    with pytest.raises(UnreadableImageError):
        read_slice(save(made(FRAMES, NumberOfFrames=5)), frame=5)


@pytest.mark.parametrize("tag", [b"\x40\x00\x30\xa7", b"\x00\x52\x29\x92"])
def test_nesting_2000_deep_does_not_break_it(save, tag):
    whole = content(made(), save)
    at = whole.index(b"\xe0\x7f\x10\x00")
    assert_right_or_refused(save(whole[:at] + deep(tag) + whole[at:]))


def assert_right_or_refused(path):
    try:
        image, _ = read_slice(path)
    except UnreadableImageError:
        return
    np.testing.assert_array_equal(image, WIDE)


def test_a_claim_of_2_gb(save):
    whole = content(made(), save)
    at = whole.index(b"\xe0\x7f\x10\x00OW\x00\x00") + 8
    assert_right_or_refused(save(whole[:at] + (0x7FFFFFFE).to_bytes(4, "little") + whole[at + 4 :]))


def test_without_preamble_by_force(save):
    bare = save(content(made(), save)[132:], "bare.dcm")
    np.testing.assert_array_equal(read_slice(bare, force=True)[0], WIDE)


def test_an_unknown_character_set_hinders_nothing(save):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = save(made(SpecificCharacterSet="ISO_IR 999"))
    np.testing.assert_array_equal(read_slice(path)[0], WIDE)


def test_mutated_headers_never_raise_anything_else(save):
    whole = bytearray(content(made(RescaleSlope="2", RescaleIntercept="1", PixelPaddingValue=0), save))
    draw = np.random.default_rng(1)
    end = whole.index(b"\xe0\x7f\x10\x00")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(400):
            changed = bytearray(whole)
            for position in draw.integers(132, end, 3):
                changed[position] = draw.integers(0, 256)
            try:
                image, _ = read_slice(save(bytes(changed), "mutated.dcm"))
            except UnreadableImageError as error:
                assert "Doe" not in str(error)
            else:
                assert image.ndim == 2


def test_a_missing_pydicom_names_the_extra(save):
    path = save(made())
    code = (
        "import sys; sys.modules['pydicom'] = None\n"
        "from monai_brain.data.slices import Options\n"
        "from monai_brain.data.dicom import read_dicom\n"
        "from pathlib import Path\n"
        "try: read_dicom(Path(sys.argv[1]), Options())\n"
        "except ModuleNotFoundError as error: print(error)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], env=env, capture_output=True, text=True, check=True
    )
    assert str(MissingExtraError("pydicom", "dicom")) in done.stdout


def test_without_a_codec_one_line_names_what_to_install(save):
    files = [save(encapsulated(b"\xff\xd8" * 200, syntax), f"{number}.dcm")
             for number, syntax in enumerate((JPEGLosslessSV1, JPEGLSLossless))]  # fmt: skip
    code = (
        "import sys\n"
        "for name in ('itk', 'pylibjpeg', 'libjpeg', 'gdcm', 'jpeg_ls'): sys.modules[name] = None\n"
        "from monai_brain.data.formats import read_slice\n"
        "for name in sys.argv[1:]:\n"
        "    try: read_slice(name)\n"
        "    except Exception as error: print(error)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, files)], env=env, capture_output=True, text=True, check=True
    )
    lossless, jpeg_ls = done.stdout.splitlines()
    assert lossless.startswith("0.dcm: no codec: JPEG Lossless")
    assert lossless.endswith("pip install itk, or pylibjpeg pylibjpeg-libjpeg (GPLv3)")
    assert jpeg_ls.startswith("1.dcm: no codec: JPEG-LS")
    assert jpeg_ls.endswith("pip install pyjpegls")


@pytest.mark.real_data
@pytest.mark.skipif("MONAI_BRAIN_DATA" not in os.environ, reason="MONAI_BRAIN_DATA is not set")
def test_real_files_read_or_say_why():
    files = sorted((Path(os.environ["MONAI_BRAIN_DATA"]) / "dicom").glob("*/*.dcm"))
    assert len(files) > 30
    refused = []
    for file in files:
        try:
            image, meta = read_slice(file)
        except UnreadableImageError as error:
            refused.append(str(error))
        else:
            assert image.ndim == 2
            assert np.isfinite(image).all()
            assert meta["modality"] in ("MR", "MG", "SC")
    assert refused == ["GH1261.dcm: no contrast: every pixel is 0"]

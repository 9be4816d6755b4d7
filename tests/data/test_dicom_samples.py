"""The real DICOM samples beside pydicom's own pixels after its own tables."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from monai_brain.data.reader import read_slice

pytestmark = pytest.mark.real_data
pydicom = pytest.importorskip("pydicom")
LOSSLESS = "1.2.840.10008.1.2.4.70"


def by_pydicom(dataset):
    """Stored values, modality table, VOI for a mammogram, bright is bright: by pydicom's functions."""
    from pydicom.pixel_data_handlers.util import apply_modality_lut, apply_voi_lut

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = apply_modality_lut(dataset.pixel_array, dataset)
        if dataset.Modality in ("MG", "CR", "DX"):
            values = apply_voi_lut(values, dataset, index=0)
    if dataset.PhotometricInterpretation == "MONOCHROME1" or dataset.get("PresentationLUTShape") == "INVERSE":
        wide = values.astype(float)
        values = 255 - values if values.dtype == np.uint8 else wide.min() + wide.max() - wide
    return np.asarray(values, float)


def test_pixels_equal_pydicoms_and_the_orientation_is_kept(real_images):
    compared = 0
    for file in sorted((real_images / "dicom").glob("*/*.dcm")):
        dataset = pydicom.dcmread(file)
        if dataset.file_meta.TransferSyntaxUID == LOSSLESS or file.name == "GH1261.dcm":  # all pixels 0
            continue
        if int(dataset.get("SamplesPerPixel", 1)) != 1:
            continue
        expected = by_pydicom(dataset)
        image, meta = read_slice(file)
        padding = dataset.get("PixelPaddingValue")
        inside = np.ones(expected.shape, bool) if padding is None else dataset.pixel_array != padding
        # Rows down, columns right, as stored: no turn and no mirror.
        np.testing.assert_allclose(image[inside], expected[inside], rtol=1e-6, err_msg=file.name)
        place, turn = dataset.get("ImagePositionPatient"), dataset.get("ImageOrientationPatient")
        if place is not None and turn is not None:
            last_row = np.array(place, float) + np.array(turn[3:], float) * float(dataset.PixelSpacing[0]) * (
                dataset.Rows - 1
            )
            found = meta["affine"] @ [dataset.Rows - 1, 0, 0, 1]
            np.testing.assert_allclose(found[:3], last_row * [-1, -1, 1], atol=1e-3, err_msg=file.name)
        compared += 1
    assert compared >= 33


@pytest.fixture
def lossless(real_images) -> Path:
    files = [
        file
        for file in sorted((real_images / "dicom" / "mammo_mg").glob("*.dcm"))
        if pydicom.dcmread(file, stop_before_pixels=True).file_meta.TransferSyntaxUID == LOSSLESS
    ]
    assert files
    return files[0]


def test_the_jpeg_lossless_mammogram_is_read_with_the_extra(lossless, tmp_path):
    """The oracle is dcmtk's decoder where it is installed; the size and the breast's side always hold."""
    pytest.importorskip("itk")
    import shutil

    image, meta = read_slice(lossless)
    header = pydicom.dcmread(lossless, stop_before_pixels=True)
    assert image.shape == (header.Rows, header.Columns)
    assert (meta["modality"], meta["view_position"]) == ("MG", header.ViewPosition)
    if shutil.which("dcmdjpeg") is None:
        pytest.skip("dcmdjpeg of dcmtk is not installed")
    subprocess.run(["dcmdjpeg", lossless, tmp_path / "plain.dcm"], check=True)
    np.testing.assert_array_equal(read_slice(tmp_path / "plain.dcm")[0], image)
    plain = pydicom.dcmread(tmp_path / "plain.dcm")
    np.testing.assert_allclose(image, by_pydicom(plain), rtol=1e-5)


def test_without_the_extra_one_line_says_what_to_install(lossless):
    program = (
        "import sys\n"
        "for name in ('itk', 'pylibjpeg', 'libjpeg', 'gdcm'): sys.modules[name] = None\n"
        "from monai_brain.data.formats import read_slice\n"
        "try: read_slice(sys.argv[1])\n"
        "except Exception as error: print(type(error).__name__, '|', error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, lossless], capture_output=True, text=True, check=True
    )
    (line,) = done.stdout.splitlines()
    kind, message = line.split(" | ")
    assert kind == "UnreadableImageError"
    assert message.startswith(f"{lossless.name}: no codec: JPEG Lossless")
    assert "pip install itk" in message

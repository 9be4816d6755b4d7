"""Zips: those that climb out, bombs and damaged ones are refused before a byte of them is written."""

import stat
import struct
import zipfile

import pytest

from monai_brain.errors import IntegrityError
from monai_brain.safety import zips
from monai_brain.safety.verify import verify


def entry(name, kind=None):
    info = zipfile.ZipInfo(name)
    if kind is not None:
        info.external_attr = (kind | 0o777) << 16
    return info


HOSTILE = {
    "climbs": ([(entry("a/../../evil"), b"x")], "climbs out"),
    "climbs at once": ([(entry("../evil"), b"x")], "climbs out"),
    "absolute": ([(entry("/tmp/evil"), b"x")], "climbs out"),
    "drive": ([(entry("C:evil"), b"x")], "climbs out"),
    "backslashes": ([(entry("..\\evil"), b"x")], "no plain name"),
    "link": ([(entry("models", stat.S_IFLNK), b"/etc")], "a link or device"),
    "device": ([(entry("null", stat.S_IFCHR), b"")], "a link or device"),
    "twice": ([(entry("a"), b"1"), (entry("./a"), b"2")], "stands in it twice"),
    "bomb": ([(entry("zeros"), bytes(60 * 2**20))], "a bomb"),
}


def pack(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, content in members:
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return path


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_zips_are_refused_and_nothing_is_written(tmp_path, what):
    members, reason = HOSTILE[what]
    path = pack(tmp_path / "in.zip", members)
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(IntegrityError, match=reason), zips.unpacked(path, place):
        pytest.fail("it was unpacked")
    assert list(place.iterdir()) == []
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in.zip", "place"]
    account = verify(path)
    assert reason in " ".join(account.refused)
    assert account.trusted is None


def test_a_crowd_of_files(tmp_path, monkeypatch):
    monkeypatch.setattr(zips, "MOST_FILES", 3)
    path = pack(tmp_path / "in.zip", [(entry(str(number)), b"") for number in range(4)])
    assert zips.faults(path) == ["4 files, at most 3 are taken"]


def test_no_zip_and_half_a_zip(tmp_path, strange):
    (tmp_path / "no.zip").write_text("<html>")
    assert "cannot be read as a zip" in verify(tmp_path / "no.zip").refused[0]
    whole = zipped(strange.root, tmp_path / "whole.zip").read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])
    assert verify(tmp_path / "half.zip").refused


def test_one_that_lies_of_its_size(tmp_path, strange):
    path = tmp_path / "lie.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("configs/metadata.json", bytes(10_000_000))
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = content.index(mark)
        content[at + place : at + place + 4] = struct.pack("<I", 100)
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="damaged"), zips.unpacked(path, tmp_path):
        pytest.fail("it was unpacked")


def zipped(root, path, above="strange/"):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(root.rglob("*")):
            if file.is_file():
                archive.write(file, f"{above}{file.relative_to(root).as_posix()}")
    return path


@pytest.mark.parametrize("above", ["strange/", ""])
def test_an_honest_zip_is_read_like_its_folder(tmp_path, strange, above):
    strange.edit("inference", network="$@network_def")
    packed, folder = verify(zipped(strange.root, tmp_path / "in.zip", above)), verify(strange.root)
    assert packed.digest == folder.digest
    assert packed.expressions == folder.expressions != []
    assert (packed.files, packed.size) == (folder.files, folder.size)

"""Files appear whole or not at all, and JSON says one thing only."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest

from monai_brain import files
from monai_brain.errors import ConfigurationError, OutputError


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with pytest.raises(ZeroDivisionError), files.whole(path) as stream:
        stream.write("half")
        assert not path.exists()
        raise ZeroDivisionError
    assert not path.exists()
    with files.whole(path) as stream:
        stream.write("ä\n")
    assert path.read_bytes() == "ä\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OutputError, match="No space left on device"), files.whole(path) as stream:
        stream.write("new")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writer_leaves_the_old_file_and_a_stray_that_is_swept(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (
        "import os, signal, sys; from monai_brain import files\n"
        f"with files.whole({str(path)!r}) as stream:\n"
        "    stream.write('new'); stream.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert files.sweep(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot write"), files.whole(tmp_path / "file" / "below"):
        pass


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1,}', "no valid JSON"),
        ('{"a": 1, "a": 2}', "the key 'a' twice"),
        ('{"lr": NaN}', "NaN, which is no JSON number"),
        ('{"lr": Infinity}', "Infinity"),
        ("[" * 100_000, "nested too deeply|no valid JSON"),
        ("", "no valid JSON"),
    ],
)
def test_json_that_says_two_things_or_none_is_refused(tmp_path, text, said):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=said) as caught:
        files.read_json(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_json_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert files.read_json(path) == {"a": 1}


def test_missing_json_and_json_that_is_no_text(tmp_path):
    with pytest.raises(ConfigurationError, match="does not exist"):
        files.read_json(tmp_path / "none.json")
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ConfigurationError, match="cannot be read as UTF-8"):
        files.read_json(tmp_path / "a.json")


def test_written_json_holds_no_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(tmp_path / "a.json", {"a": float("nan")})
    assert not (tmp_path / "a.json").exists()

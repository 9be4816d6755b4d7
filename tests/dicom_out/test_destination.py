"""Addresses, and secrets that never stand in them."""

from __future__ import annotations

import json
import os

import pytest

from monai_brain.dicom_out.destination import ae_title, credentials, destination
from monai_brain.errors import ConfigurationError


def test_a_dicom_node():
    found = destination("dicom://PACS 1@pacs.example:11112")
    assert (found.title, found.host, found.port, found.tls, found.web) == (
        "PACS 1",
        "pacs.example",
        11112,
        False,
        False,
    )
    assert destination("dicoms://A@[::1]:104").tls


def test_a_web_service():
    found = destination("https://pacs.example/dicom-web/")
    assert (found.address, found.tls, found.web) == ("https://pacs.example/dicom-web", True, True)
    assert destination("http://127.0.0.1:8042/dicom-web").web


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("dicom://pacs:104", "AE title"),
        ("dicom://A@pacs", "no DICOM node"),
        ("dicom://A@pacs:104/path", "no DICOM node"),
        ("dicom://THIS_TITLE_IS_LONG@pacs:104", "AE title"),
        ("dicom://A@pacs:port", "no address"),
        ("ftp://pacs/dicom-web", "no address"),
        ("pacs.example", "no address"),
        ("http://pacs.example/dicom-web", "unencrypted"),
        ("https://me@pacs.example/dicom-web", "no address"),
        ("https://pacs.example/dicom-web?token=1", "no address"),
    ],
)
def test_what_is_no_address_is_refused(address, why):
    with pytest.raises(ConfigurationError, match=why):
        destination(address)


@pytest.mark.parametrize(
    "address", ["https://me:hunter2@pacs.example/dicom-web", "dicom://A:hunter2@pacs:104"]
)
def test_a_password_in_the_address_is_refused_and_not_repeated(address):
    with pytest.raises(ConfigurationError, match="MONAI_BRAIN_SEND_PASSWORD") as caught:
        destination(address)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("title", ["", " A", "A ", "A\\B", "A" * 17, "Ä", "A\n"])
def test_what_is_no_title_is_refused(title):
    with pytest.raises(ConfigurationError, match="AE title"):
        ae_title(title)


def test_secrets_come_from_the_environment_or_from_a_file(tmp_path):
    file = tmp_path / "secrets.json"
    file.write_text(json.dumps({"user": "me", "password": "hunter2"}), encoding="utf-8")
    file.chmod(0o600)
    found = credentials({"MONAI_BRAIN_SEND_FILE": str(file), "MONAI_BRAIN_SEND_USER": "you"})
    assert (found.user, found.password, found.secret) == ("you", "hunter2", True)
    assert "hunter2" not in repr(found)
    assert not credentials({}).secret


@pytest.mark.skipif(os.name != "posix", reason="there are no such permissions here")
def test_a_file_that_others_may_read_is_refused(tmp_path):
    file = tmp_path / "secrets.json"
    file.write_text("{}", encoding="utf-8")
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        credentials({"MONAI_BRAIN_SEND_FILE": str(file)})


@pytest.mark.parametrize("content", ["[]", "{", '{"passwort": "x"}'])
def test_a_file_that_says_something_else_is_refused(tmp_path, content):
    file = tmp_path / "secrets.json"
    file.write_text(content, encoding="utf-8")
    file.chmod(0o600)
    with pytest.raises(ConfigurationError, match="JSON"):
        credentials({"MONAI_BRAIN_SEND_FILE": str(file)})

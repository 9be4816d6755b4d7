"""Weights by address and hash, from a server in this process that breaks off, lies and goes away."""

import hashlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from monai_brain import registry
from monai_brain.bundles import Bundle
from monai_brain.cli import main
from monai_brain.errors import ConfigurationError, IntegrityError, ModelError, UnknownNameError
from monai_brain.safety import store, trust
from monai_brain.safety.download import DownloadError, download
from monai_brain.training.experiments import contest

CONTENT = os.urandom(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT at any path; says what it was asked for."""

    def __init__(self):
        self.break_after, self.content, self.ranges, self.asked = None, CONTENT, True, []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/model.pt"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, given = self.server, self.headers.get("Range")
        server.asked.append((self.path, given))
        if self.path.endswith("gone"):
            return self.send_error(404)
        begin = int(given.removeprefix("bytes=").rstrip("-")) if given and server.ranges else 0
        if begin >= len(server.content):
            return self.send_error(416)
        part = server.content[begin:]
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(part)))
        if begin:
            last = len(server.content) - 1
            self.send_header("Content-Range", f"bytes {begin}-{last}/{len(server.content)}")
        self.end_headers()
        end = len(part) if server.break_after is None else server.break_after
        return self.wfile.write(part[:end])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def model(strange, server):
    """A bundle that lists weights, registered as an installed plugin would."""
    listing = {"version": "2.0", "url": server.address, "sha256": SHA256, "licence": "CC0-1.0"}
    older = {"url": server.address + "/old", "sha256": "0" * 64}
    strange.edit("metadata", monai_brain__weights={**listing, "versions": {"1.0": older}})
    with registry.isolated() as found:
        found.bundles["tiny"] = strange.bundle
        found.sources["tiny"] = "a_plugin"
        yield strange.bundle


def test_fetched_once_and_kept_by_its_hash(model, server, tmp_path, capsys):
    assert model.weights is None
    path = store.get(model)
    assert path == tmp_path / "home" / "weights" / f"{SHA256}.pt" == model.weights
    assert path.read_bytes() == CONTENT
    assert store.get(model, tmp_path / "there") == tmp_path / "there" / "model.pt"
    assert (tmp_path / "there" / "model.pt").read_bytes() == CONTENT
    assert len(server.asked) == 1
    assert main(["weights", "get", "tiny", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["licence"] == "CC0-1.0"


def test_it_goes_on_where_it_broke_off(model, server):
    server.break_after = 100_000
    with pytest.raises(ModelError, match="broke off after 100000 of 300000"):
        store.get(model)
    server.break_after = None
    assert store.get(model).read_bytes() == CONTENT
    assert [given for _, given in server.asked] == [None, "bytes=100000-"]


def test_a_server_that_cannot_go_on_begins_anew(model, server):
    server.break_after = 100_000
    with pytest.raises(ModelError):
        store.get(model)
    server.break_after, server.ranges = None, False
    assert store.get(model).read_bytes() == CONTENT


def test_a_part_of_another_file_is_thrown_away(model, server):
    place = model.fetched_weights
    place.parent.mkdir(parents=True)
    for left in (b"other", bytes(400_000)):  # shorter than the file, and longer
        place.with_name(f"{place.name}.part").write_bytes(left)
        assert store.get(model).read_bytes() == CONTENT
        place.unlink()
    assert list(place.parent.iterdir()) == []


def test_other_bytes_than_recorded_are_never_kept(model, server):
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(IntegrityError, match=SHA256):
        store.get(model)
    assert list(model.fetched_weights.parent.iterdir()) == []


def test_without_a_network_file_place_and_hash_are_named(model, server, tmp_path, capsys):
    server.shutdown()
    server.server_close()
    assert main(["weights", "get", "tiny"]) == 4
    told = capsys.readouterr().err
    for part in ("model.pt", SHA256, str(model.fetched_weights), "--from FILE", "cannot be reached"):
        assert part in told
    (tmp_path / "brought").write_bytes(CONTENT[1:])
    with pytest.raises(IntegrityError, match="It was not taken"):
        store.get(model, source=tmp_path / "brought")
    (tmp_path / "brought").write_bytes(CONTENT)
    assert main(["weights", "get", "tiny", "--from", str(tmp_path / "brought")]) == 0
    assert model.weights.read_bytes() == CONTENT


def test_versions(model, server):
    older = registry.bundle("tiny@1.0")
    assert (older.weights_sha256, older.name) == ("0" * 64, "tiny")
    assert registry.bundle("tiny@2.0").weights_sha256 == SHA256
    with pytest.raises(UnknownNameError, match=r"Did you mean '2\.0'"):
        registry.bundle("tiny@3.0")
    assert [contest.named(name) for name in ("tiny@1.0", "tiny")] == ["tiny@1.0", "tiny"]
    with pytest.raises(IntegrityError):  # the server has only one file, which is not that version's
        store.get(older)
    assert server.asked[-1][0].endswith("/old")


def test_proxies_of_the_environment_are_used(server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("no_proxy", "")
    download("http://weights.invalid/model.pt", tmp_path / "x", SHA256)
    assert server.asked == [("http://weights.invalid/model.pt", None)]


@pytest.mark.slow  # imports torch
def test_first_use_fetches_and_an_untrusted_bundle_does_not(model, server, strange):
    weights = pytest.importorskip("monai_brain.inference.weights")
    assert weights.locate(model) == (model.fetched_weights, SHA256)
    model.fetched_weights.unlink()
    strange.edit("inference", network="$@network_def")
    registry.registry().bundles.clear()
    with pytest.raises(trust.TrustError):
        weights.locate(Bundle.at(model.root))
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("address", "error"),
    [("file:///etc/passwd", ConfigurationError), ("ftp://x/y", ConfigurationError), ("gone", DownloadError)],
)
def test_other_addresses(server, tmp_path, address, error):
    with pytest.raises(error):
        download(server.address + "/gone" if address == "gone" else address, tmp_path / "x")
    assert not (tmp_path / "x").exists()

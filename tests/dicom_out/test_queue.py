"""The queue and its senders, against a DICOM node and a web server that run here."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

pynetdicom = pytest.importorskip("pynetdicom")
pytest.importorskip("dicomweb_client")

import pydicom  # noqa: E402
from pynetdicom import AE, evt  # noqa: E402

from monai_brain.cli import main  # noqa: E402
from monai_brain.dicom_out.delivery import Fate, Outcome, fate_of  # noqa: E402
from monai_brain.dicom_out.destination import destination  # noqa: E402
from monai_brain.dicom_out.queue import Queue  # noqa: E402
from monai_brain.errors import DataError  # noqa: E402


class Node:
    """A DICOM node that answers with one status after another, then with success."""

    def __init__(self, statuses=(), classes=("1.2.840.10008.5.1.4.1.1.4",)):
        self.statuses, self.stored, self.calls = list(statuses), {}, 0
        self.entity = AE("NODE")
        self.entity.require_called_aet = True
        for each in classes:
            self.entity.add_supported_context(each)
        self.server = self.entity.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self.store)]
        )
        self.address = f"dicom://NODE@127.0.0.1:{self.server.server_address[1]}"

    def store(self, event):
        self.calls += 1
        if self.statuses and (status := self.statuses.pop(0)):
            return status
        self.stored[str(event.request.AffectedSOPInstanceUID)] = event.encoded_dataset(include_meta=False)
        return 0

    def close(self):
        if self.server is not None:
            self.server.shutdown()
            self.server = None


@pytest.fixture
def node():
    opened = []

    def start(*given, **more):
        opened.append(Node(*given, **more))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def dataset_bytes(path):
    """What follows the file meta information."""
    data = path.read_bytes()
    return data[144 + int.from_bytes(data[140:144], "little") :]


def test_what_was_put_arrives_once_and_unchanged(node, sources, tmp_path):
    paths = [sources.mr(number) for number in range(5)]
    there = node()
    queue = Queue(tmp_path / "queue", destination(there.address))
    assert queue.put(paths) == 5
    assert queue.put(paths) == 0
    sent = queue.send(wait=0)
    assert (sent.delivered, sent.waiting, sent.refused, there.calls) == (5, 0, [], 5)
    assert there.stored == {str(pydicom.dcmread(path).SOPInstanceUID): dataset_bytes(path) for path in paths}


# pynetdicom leaves the socket of a connection that was refused to the garbage collector.
leaves_a_socket = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@leaves_a_socket
def test_nothing_is_lost_while_nobody_answers(node, sources, tmp_path):
    gone = node()
    gone.close()
    path = sources.mr(0)
    queue = Queue(tmp_path, destination(gone.address))
    queue.put([path])
    said = []
    sent = queue.send(wait=0.2, tell=said.append)
    assert (sent.delivered, sent.waiting, sent.reason) == (0, 1, "it does not answer")
    assert said == [f"{gone.address}: it does not answer; 1 wait"]
    assert [file.read_bytes() for file in Queue(tmp_path, destination(gone.address)).waiting()] == [
        path.read_bytes()
    ]


def test_a_full_node_is_asked_again_and_one_object_never_stops_the_rest(node, sources, tmp_path):
    there = node([0xA700, 0, 0xA701, 0])
    queue = Queue(tmp_path, destination(there.address))
    queue.put([sources.mr(number) for number in range(4)])
    sent = queue.send(wait=5)
    assert (sent.delivered, sent.waiting, len(there.stored), there.calls) == (4, 0, 4, 6)


def test_what_is_refused_is_put_aside_with_the_reason(node, sources, tmp_path):
    there = node([0xA900])
    queue = Queue(tmp_path, destination(there.address))
    queue.put([sources.mr(0), sources.mr(1), sources.mg("L", "CC")])
    sent = queue.send(wait=0)
    assert (sent.delivered, sent.waiting) == (1, 0)
    reasons = sorted(line.split(": refused: ")[1] for line in sent.refused)
    assert reasons == ["it does not take objects of this kind", "status A900"]
    assert len(list(queue.refused.glob("*.dcm"))) == 2
    assert sorted(file.read_text("utf-8").strip() for file in queue.refused.glob("*.txt")) == reasons


def test_a_title_that_nobody_bears_waits_and_says_why(node, sources, tmp_path):
    there = node()
    queue = Queue(tmp_path, destination(there.address.replace("NODE", "OTHER")))
    queue.put([sources.mr(0)])
    sent = queue.send(wait=0)
    assert (sent.waiting, sent.reason) == (1, "it refuses our AE title or theirs")


def test_a_sender_that_dies_sends_the_rest_the_next_time(node, sources, tmp_path):
    there = node()
    queue = Queue(tmp_path, destination(there.address))
    queue.put([sources.mr(number) for number in range(6)])

    class Dying:
        def deliver(self, paths):
            for path in paths[:3]:
                yield Outcome(path, Fate.DELIVERED)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        queue.send(sender=Dying())
    assert len(queue.waiting()) == 3
    assert Queue(tmp_path, queue.target).send(wait=0).delivered == 3


def test_one_uid_with_two_contents_is_refused(sources, tmp_path):
    queue = Queue(tmp_path, destination("dicom://A@127.0.0.1:1"))
    queue.put([sources.mr(0)])
    with pytest.raises(DataError, match="another content waits under its UID"):
        queue.put([sources.mr(0, PatientID="OTHER")])
    text = tmp_path / "text.dcm"
    text.write_text("no DICOM", encoding="utf-8")
    with pytest.raises(DataError, match="it is no DICOM file"):
        queue.put([text])


@pytest.mark.parametrize(
    ("status", "fate"),
    [
        (0x0000, Fate.DELIVERED),
        (0xB000, Fate.DELIVERED),
        (0x0111, Fate.DELIVERED),
        (0xA700, Fate.LATER),
        (0x0110, Fate.LATER),
        (0xA900, Fate.REFUSED),
        (0xC123, Fate.REFUSED),
        (0x0122, Fate.REFUSED),
    ],
)
def test_a_status_says_what_becomes_of_an_object(status, fate):
    assert fate_of(status) is fate


@pytest.fixture
def web():
    """A web server that gives one answer after another, then success; and what it was asked."""
    asked, answers = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, self.headers.get("Authorization"), body))
            status, text = answers.pop(0) if answers else (200, b"{}")
            self.send_response(status)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/dicom-web", asked, answers
    server.shutdown()
    thread.join()
    server.server_close()


def failed(reason: int) -> bytes:
    return b'{"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [%d]}}]}}' % reason


def test_a_web_service_gets_whole_files_and_the_credentials(web, sources, tmp_path, monkeypatch):
    address, asked, _ = web
    monkeypatch.setenv("MONAI_BRAIN_SEND_TOKEN", "hunter2")
    queue, path = Queue(tmp_path, destination(address)), sources.mr(0)
    queue.put([path])
    assert queue.send(wait=0).delivered == 1
    ((where, authorization, body),) = asked
    assert (where, authorization) == ("/dicom-web/studies", "Bearer hunter2")
    assert dataset_bytes(path) in body


@pytest.mark.parametrize(
    ("answer", "fate"),
    [
        ((503, b""), "later"),
        ((401, b""), "later"),
        ((400, b""), "refused: HTTP 400"),
        ((409, failed(0xA900)), "refused: failure reason A900"),
        ((409, failed(0xA700)), "later"),
        ((202, failed(0xC000)), "refused: failure reason C000"),
        ((409, b"not json"), "refused: HTTP 409"),
    ],
)
def test_what_a_web_service_answers_decides(web, sources, tmp_path, answer, fate):
    address, asked, answers = web
    answers.append(answer)
    queue = Queue(tmp_path, destination(address))
    queue.put([sources.mr(0)])
    sent = queue.send(wait=0)
    assert len(asked) == 1
    if fate == "later":
        assert (sent.waiting, sent.refused) == (1, [])
    else:
        assert sent.waiting == 0
        assert sent.refused[0].endswith(fate)


@leaves_a_socket
def test_the_command_sends_and_leaves_what_cannot_go(node, sources, tmp_path, capsys):
    there, paths = node(), [sources.mr(number) for number in range(3)]
    to = ["--to", there.address, "--queue", str(tmp_path / "queue"), "--wait", "0"]
    assert main(["send", str(sources.folder), *to]) == 0
    assert "3 delivered, 0 refused, 0 wait" in capsys.readouterr().out
    there.close()
    assert main(["send", str(paths[0]), *to]) == 3
    said = capsys.readouterr()
    assert "0 delivered, 0 refused, 1 wait" in said.out
    assert "Doe" not in said.out + said.err
    assert main(["send", str(tmp_path / "none"), *to]) == 2

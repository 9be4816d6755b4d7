"""Over TLS a real archive gets the objects from those whom it trusts, and only if we trust it."""

from __future__ import annotations

import datetime
import ipaddress
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom")
pytest.importorskip("dicomweb_client")
pytest.importorskip("cryptography")

import pydicom
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SECURED = 8443


class Authority:
    """A certification authority; gives certificates for 127.0.0.1 as files."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.ca = self._file("ca", self._signed(self.subject, self.key.public_key(), authority=True))

    def issue(self, name: str) -> tuple[str, str]:
        """A certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = self._signed(subject, key.public_key(), authority=False)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        return self._file(f"{name}_cert", certificate), self._file(f"{name}_key", private)

    def _signed(self, subject, public, *, authority: bool) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
             "decipher_only"), False,
        )  # fmt: skip
        usage |= {"digital_signature": not authority, "key_cert_sign": authority, "crl_sign": authority}
        builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _file(self, name: str, content: bytes) -> str:
        path = self.folder / f"{self.name}_{name}.pem"
        path.write_bytes(content)
        return str(path)


# What stands before an archive's web service: it speaks TLS, asks for the caller's certificate, passes on.
PROXY = """
import asyncio, ssl, sys

async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()

async def serve(reader, writer):
    inner = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
    await asyncio.gather(pump(reader, inner[1]), pump(inner[0], writer))

async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    context.load_verify_locations(sys.argv[5])
    context.verify_mode = ssl.CERT_REQUIRED
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), ssl=context)
    print("up", flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@pytest.fixture
def archive(programs, tmp_path):
    """Orthanc that speaks TLS to callers with a certificate of its authority; and that authority.

    Debian's Orthanc 1.10.1 ends with a segmentation fault at the first HTTPS request, so that its web
    service stands behind a proxy, as it mostly does.
    """
    ours = Authority(tmp_path, "ours")
    certificate, key = ours.issue("archive")
    found = programs(
        tmp_path,
        DicomTlsEnabled=True,
        DicomTlsCertificate=certificate,
        DicomTlsPrivateKey=key,
        DicomTlsTrustedCertificates=ours.ca,
        DicomTlsRemoteCertificateRequired=True,
    )
    inside = found.root.rpartition(":")[2]
    found.node = found.node.replace("dicom:", "dicoms:")
    found.web = f"https://127.0.0.1:{SECURED}/dicom-web"
    proxy = None
    try:
        found.start()
        words = [sys.executable, "-c", PROXY, str(SECURED), inside, certificate, key, ours.ca]
        proxy = subprocess.Popen(found.within(*words), stdout=subprocess.PIPE, text=True)
        assert proxy.stdout.readline() == "up\n"
        yield found, ours
    finally:
        if proxy is not None:
            proxy.kill()
            proxy.communicate()
        found.close()


@pytest.mark.parametrize("protocol", ["node", "web"], ids=["C-STORE", "STOW"])
def test_only_who_trusts_and_is_trusted_delivers(protocol, archive, sources, tmp_path):
    orthanc, ours = archive
    stranger = Authority(tmp_path, "stranger")
    (certificate, key), (other, other_key) = ours.issue("sender"), stranger.issue("sender")
    to, queue, path = getattr(orthanc, protocol), tmp_path / "queue", sources.mr(1)
    refused = {
        "we do not trust it": {"CA": stranger.ca, "CERT": certificate, "KEY": key},
        "it does not trust us": {"CA": ours.ca, "CERT": other, "KEY": other_key},
        "we show nothing": {"CA": ours.ca},
    }
    for why, secrets in refused.items():
        answer = orthanc.told(orthanc.send(queue, to, path, wait=0, **secrets), status=3)
        assert (answer["delivered"], answer["waiting"]) == (0, 1), why
        # A web service that speaks TLS 1.3 refuses our certificate by hanging up, and says nothing.
        known = protocol == "node" or why == "we do not trust it"
        assert ("TLS" if known else "it does not answer") in answer["said"], (why, answer["said"])
    plain = to.replace("dicoms:", "dicom:").replace("https:", "http:")
    answer = orthanc.told(orthanc.send(tmp_path / "plain", plain, path, wait=0), status=3)
    assert answer["delivered"] == 0
    assert orthanc.instances() == {}
    answer = orthanc.told(orthanc.send(queue, to, CA=ours.ca, CERT=certificate, KEY=key))
    assert (answer["delivered"], answer["waiting"]) == (1, 0)  # what waited has arrived
    mine = pydicom.dcmread(path)
    given = tmp_path / "given.dcm"
    given.write_bytes(orthanc.ask(f"/instances/{orthanc.instances()[mine.SOPInstanceUID]['ID']}/file"))
    assert pydicom.dcmread(given) == mine

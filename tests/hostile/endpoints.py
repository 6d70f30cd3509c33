"""The hostile endpoints as a process of their own: `python -m tests.hostile.endpoints FOLDER`.

It prints their addresses, and the port of a listener that counts who connects to it: where calls may never go.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.hostile.kinds import KINDS, Reader, Writer

LIVES_SECONDS = 900.0
"""It ends by itself after that, whatever became of its parent."""


def make_certificate(
    folder: Path, name: str, host: str, days: int = 30, by: str | None = None
) -> None:
    """`<name>.pem` and `<name>.key`, signed by another of the folder, or by itself as an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signer = subject, key
    if by is not None:
        issuer = x509.load_pem_x509_certificate((folder / f"{by}.pem").read_bytes()).subject
        signer = serialization.load_pem_private_key((folder / f"{by}.key").read_bytes(), None)
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def make_certificates(folder: Path) -> None:
    """An authority, a good certificate for localhost, and bad ones."""
    make_certificate(folder, "authority", "authority.test")
    make_certificate(folder, "good", "localhost", by="authority")
    make_certificate(folder, "client", "client.test", by="authority")
    make_certificate(folder, "wrong-name", "another.test", by="authority")
    make_certificate(folder, "expired", "localhost", days=-1, by="authority")
    make_certificate(folder, "self-signed", "localhost")


def context(folder: Path, name: str) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return made


async def _serve(
    act: Callable[[Reader, Writer], Awaitable[None]], tls: ssl.SSLContext | None = None
) -> int:
    async def connected(reader: Reader, writer: Writer) -> None:
        with suppress(OSError, ssl.SSLError, EOFError, asyncio.IncompleteReadError, ValueError):
            await act(reader, writer)
        with suppress(Exception):
            writer.close()

    server = await asyncio.start_server(
        connected, "127.0.0.1", 0, ssl=tls, backlog=512, limit=1 << 17
    )
    port: int = server.sockets[0].getsockname()[1]
    return port


async def _by_path(reader: Reader, writer: Writer) -> None:
    """Read one request, then be of the kind that its path names."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            await reader.readexactly(min(int(line.partition(b":")[2]), 1 << 16))
    name = head.split(b" ")[1].decode("ascii").strip("/").partition("?")[0]
    await KINDS[name].act(reader, writer)


async def main(folder: Path) -> None:
    make_certificates(folder)
    forbidden: list[str] = []

    async def count(reader: Reader, writer: Writer) -> None:
        forbidden.append(str(writer.get_extra_info("peername")))
        (folder / "forbidden").write_text("\n".join(forbidden))

    plain = await _serve(_by_path)
    doors = {
        name: await _serve(_by_path, context(folder, name))
        for name in ("wrong-name", "expired", "self-signed")
    }
    doors["tls"] = await _serve(_by_path, context(folder, "good"))
    speaks_http2 = context(folder, "good")
    speaks_http2.set_alpn_protocols(["h2"])
    urls = {}
    for one in KINDS.values():
        if one.where == "plain":
            urls[one.name] = f"http://localhost:{plain}/{one.name}"
        elif one.where in doors:
            urls[one.name] = f"https://localhost:{doors[one.where]}/{one.name}"
        elif one.where == "raw-h2":
            urls[one.name] = f"https://localhost:{await _serve(one.act, speaks_http2)}/"
        else:
            scheme = "https" if one.where == "raw-tls" else "http"
            urls[one.name] = f"{scheme}://localhost:{await _serve(one.act)}/"
    print(json.dumps({"urls": urls, "forbidden": await _serve(count)}), flush=True)
    await asyncio.sleep(LIVES_SECONDS)


class Endpoints:
    """The process. Use it as a context: `urls` by kind, `forbidden` a port to which nobody may connect."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.urls: dict[str, str] = {}
        self.forbidden = 0

    def __enter__(self) -> Endpoints:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.endpoints", str(self.folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).parents[2],
        )
        assert self._process.stdout is not None
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        self.urls, self.forbidden = told["urls"], told["forbidden"]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def intruders(self) -> list[str]:
        """Who connected to the forbidden port."""
        path = self.folder / "forbidden"
        return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

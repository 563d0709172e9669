"""Sites for router tests: certificates, a stored-file HTTP service, clients that count errors."""

import asyncio
import datetime
import ipaddress
import itertools
import os
import random
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hanse.drivers.endpoint.router import HaproxyRouter

_SITES = itertools.count(10)


def free_port(address: str) -> int:
    """Below the ports that the kernel gives to outgoing connections, so that none takes it meanwhile."""
    while True:
        port = random.randrange(10_000, 32_000)  # noqa: S311 - no secret
        with suppress(OSError), socket.create_server((address, port)):
            return port


@dataclass
class SiteFiles:
    """A site with its own loopback address, key and self-signed certificate."""

    directory: Path
    name: str
    address: str = field(
        default_factory=lambda: f"127.{100 + os.getpid() % 100}.{os.getpid() // 100 % 250}.{next(_SITES)}"
    )

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate_file = self.directory / "self.crt"
        self.key_file = self.directory / "site.key"
        self.pem = self._signed(self)
        self._write()

    def issue(self, holder: "SiteFiles") -> "SiteFiles":
        """What `holder` shows if this site signs a certificate over its key."""
        made = replace(holder, directory=holder.directory / "issued")
        made.key = holder.key
        made.pem = holder._signed(self)
        made._write()
        return made

    def _write(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.certificate_file.write_text(self.pem)
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        self.key_file.write_bytes(self.key.private_bytes(encoding, form, serialization.NoEncryption()))

    def _signed(self, issuer: "SiteFiles") -> str:
        now = datetime.datetime.now(datetime.UTC)
        address = x509.IPAddress(ipaddress.ip_address(self.address))
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(self.name))
            .issuer_name(_name(issuer.name))
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .sign(issuer.key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM).decode()

    def router(self) -> HaproxyRouter:
        return HaproxyRouter(self.name, self.directory / "router", self.certificate_file, self.key_file)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text.replace("/", "."))])


class Service:
    """An HTTP service of one site that stores what is PUT and says which site it is."""

    def __init__(self, site: SiteFiles) -> None:
        stored: dict[str, int] = {}
        self.stored = stored
        self.headers_seen: dict[str, str] = {}
        self.pause_seconds = 0.0
        self.break_off: dict[str, int] = {}
        """Method → how many of its requests are read whole and get no answer."""
        self.unavailable: dict[str, int] = {}
        """Method → how many of its requests are answered 503, as by a program without its database."""
        self.arrived: list[tuple[str, str]] = []
        """(method, body) of every request that was read whole."""
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self, body: bytes) -> None:
                service.headers_seen = dict(self.headers)
                unavailable = service.unavailable.get(self.command, 0)
                service.unavailable[self.command] = max(unavailable - 1, 0)
                self.send_response(503 if unavailable else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                time.sleep(service.pause_seconds)
                self.do_any()

            def do_PUT(self) -> None:
                length = left = int(self.headers["Content-Length"])
                while left > 0:
                    left -= len(self.rfile.read(min(left, 1 << 20)))
                stored[self.path] = length
                self._answer(site.name.encode())

            def do_any(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
                service.arrived.append((self.command, body))
                left = service.break_off.get(self.command, 0)
                service.break_off[self.command] = left - 1
                if left > 0:
                    self.close_connection = True
                else:
                    self._answer(site.name.encode())

            do_POST = do_PATCH = do_MOVE = do_DELETE = do_PROPFIND = do_post = do_FANCY = do_any  # noqa: N815

            def log_message(self, *arguments: object) -> None:
                pass

        class Listener(ThreadingHTTPServer):
            request_queue_size = 512
            daemon_threads = True

        self._server = Listener((site.address, 0), Handler)
        self.address: tuple[str, int] = (site.address, self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def request(address: tuple[str, int], method: str, path: str = "/", body: bytes = b"") -> tuple[int, str]:
    connection = HTTPConnection(*address, timeout=70)
    try:
        connection.request(method, path, body or None)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


async def ask(
    address: tuple[str, int], method: str = "GET", path: str = "/", body: bytes = b""
) -> tuple[int, str]:
    return await asyncio.to_thread(request, address, method, path, body)


class Client:
    """One keep-alive client at a request each 10 ms; remembers errors, answers and the longest wait."""

    def __init__(self, address: tuple[str, int], method: str) -> None:
        self.errors: list[str] = []
        self.answers: list[str] = []
        self.slowest_seconds = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(address, method), daemon=True)
        self._thread.start()

    def _run(self, address: tuple[str, int], method: str) -> None:
        connection = HTTPConnection(*address, timeout=70)
        for number in itertools.count():
            if self._stop.wait(0.01):
                break
            begun = time.monotonic()
            try:
                connection.request(method, f"/{method}/{number}", b"x" * 3000 if method == "PUT" else None)
                answer = connection.getresponse()
                text = answer.read().decode()
                if answer.status != 200:
                    self.errors.append(f"{number}: {answer.status} {text}")
                self.answers.append(text)
            except (OSError, HTTPException) as error:
                self.errors.append(f"{number}: {error!r}")
                connection.close()
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - begun)
        connection.close()

    async def finish(self) -> None:
        self._stop.set()
        await asyncio.to_thread(self._thread.join)

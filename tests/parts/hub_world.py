"""A hub with real keys and store behind its HTTP face, and sites that obey, played by a test."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from hub_answers import obedient

from hanse.api.notify import Notifier
from hanse.api.server import make_api
from hanse.app import CsvMarket, SiteCertifier
from hanse.hub.context import Hub
from hanse.hub.engine import run_until_quiet
from hanse.hub.membership import peers_of
from hanse.model.market.offer import Offer, Provider, Site, SiteStatement
from hanse.model.replica.instruction import Instruction
from hanse.model.replica.observation import Failure, Observation, StatementState
from hanse.model.replica.spec import Peer
from hanse.model.shape import canonical_bytes
from hanse.ports import Store
from hanse.store.memory import MemoryStore
from hanse.trust.authority import make_authority, self_signed
from hanse.trust.keys import make_key, make_sealing_key, public_sealing_key
from hanse.trust.signing import KeySigner

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
TOKEN = "the-admin-token"
MICRO = 1_000_000
COUNTRIES = {"alder": "DE", "birch": "FR", "cedar": "IT"}
PRICES = {"alder": 10, "birch": 20, "cedar": 30}


class Watch:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return (self.time - START).total_seconds()

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class Counting:
    """Tokens that a golden text can hold."""

    def __init__(self) -> None:
        self.count = 0

    def token(self, nbytes: int = 16) -> str:
        self.count += 1
        return f"secret-{self.count}"


class ShownCertificate:
    """What the TLS server does: the thumbprint of the client's key stands in the scope."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers") or ())
        shown = headers.get(b"x-test-thumbprint")
        extensions = {"tls": {"client_cert_thumbprint": shown.decode() if shown else None}}
        await self.app({**scope, "extensions": extensions}, receive, send)


class Http:
    """Requests to an application in this process, one after the other."""

    def __init__(self, app: Any) -> None:
        self.transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.headers = {"Authorization": f"Bearer {TOKEN}"}

    def request(
        self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self.transport, base_url="https://hub.example") as client:
                return await client.request(method, path, headers={**self.headers, **(headers or {})}, **more)

        return asyncio.run(ask())


@dataclass
class World:
    """One hub, and a client with the admin token."""

    directory: Path
    store: Store = field(default_factory=lambda: MemoryStore(lambda: START))
    watch: Watch = field(default_factory=Watch)
    sites: dict[str, "PlayedSite"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.key = make_key()
        authority = make_authority(make_key(), datetime.now(UTC))
        self.directory.mkdir(exist_ok=True)
        self.hub = Hub(
            store=self.store,
            clock=self.watch,
            random=Counting(),
            signer=KeySigner(self.key),
            authority=SiteCertifier(authority),
            market=CsvMarket(),
            images=self.directory,
            certificate_pem=self_signed(self.key, "hub", (), datetime.now(UTC)),
            authority_pem=authority.certificate_pem,
            url="https://hub.example:8443",
        )
        self.open_face()

    def open_face(self) -> None:
        """As after a restart: nothing is remembered but the store."""
        self.http = Http(ShownCertificate(make_api(self.hub, TOKEN, Notifier())))

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """A request that must succeed; its JSON."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        reply = self.http.request(method, path, json=body, headers=named)
        assert reply.status_code < 300, reply.text[:2000]
        return reply.json()

    def refused(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        """Status and code of a request that must fail, with a problem that tells why."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        reply = self.http.request(method, path, json=body, headers=named)
        assert reply.headers["content-type"] == "application/problem+json", reply.text[:300]
        problem = reply.json()
        assert problem["detail"]
        assert "Traceback" not in reply.text
        return reply.status_code, problem["code"]

    def join(self, *names: str) -> None:
        """Invite, enrol, state."""
        for name in names:
            site = PlayedSite(self, name)
            self.sites[name] = site
            token = self.ask("POST", "/v1/invitations", {"site": name})["token"]
            site.enrol(token)
            site.state()

    def play(self, rounds: int = 60) -> None:
        """Engine and sites in turn, until nothing happens any more."""
        for _ in range(rounds):
            busy = run_until_quiet(self.hub)
            for site in self.sites.values():
                busy = site.obey() or busy
            if not busy:
                return
        raise AssertionError("engine and sites find no rest")

    def hub_peer(self, site: str) -> Peer:
        """A site as others may reach it."""
        with self.hub.look() as tx:
            return peers_of(tx)[site]

    def status(self, app: str = "shop") -> Any:
        return self.ask("GET", f"/v1/applications/{app}")

    def apply(self, text: str, app: str = "shop") -> Any:
        """Plan and apply."""
        planned = self.ask("POST", "/v1/plans", {"file": text})
        assert planned["plan"]["outcome"] == "plan", json.dumps(planned["plan"], indent=1)
        return self.ask("PUT", f"/v1/applications/{app}", {"plan": planned["id"]})

    def push_image(self, data: bytes = b"an image") -> str:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        reply = self.http.request("PUT", f"/v1/images/{digest}", content=data)
        assert reply.status_code == 201, reply.text
        return digest


class PlayedSite:
    """A site that says of everything that it is done, unless a test sets other words."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.provider = name.partition("/")[0]
        self.key = make_key()
        self.signer = KeySigner(self.key)
        self.certificate = self_signed(self.key, name, ["127.0.0.1"], datetime.now(UTC))
        self.sealing = public_sealing_key(make_sealing_key())
        self.sequence = 0
        self.serial = 0
        self.orders: dict[str, Instruction] = {}
        self.answer: Callable[[PlayedSite, Instruction], Any] | None = None
        self.unsent: list[str] = []
        self.units: int | None = 4

    def headers(self) -> dict[str, str]:
        return {"x-test-thumbprint": self.signer.thumbprint}

    def enrol(self, token: str) -> Any:
        body = {
            "token": token,
            "site": self.name,
            "self_certificate_pem": self.certificate,
            "sealing_key": self.sealing,
        }
        reply = self.world.http.request("POST", "/v1/enrolments", json=body, headers={"Authorization": ""})
        assert reply.status_code == 200, reply.text
        return reply.json()

    def statement(self) -> SiteStatement:
        country, price = COUNTRIES[self.provider], PRICES[self.provider]
        offer = {"site": self.name, "egress_micro_eur_per_gib": 0, "source": "test", "as_of": "2026-05-01"}
        vm = {"kind": "vm", "name": "small", "vcpu": 2, "memory_gib": 4, "disk_gib": 40}
        offers = (
            Offer(**offer, **vm, price_micro_eur_per_month=price * MICRO, free_units=self.units),
            Offer(**offer, kind="bucket", name="standard", price_micro_eur_per_gib_month=price * 1000),
        )
        return SiteStatement(
            provider=Provider(
                provider=self.provider, name=self.provider.title(), country=country, source="test"
            ),
            site=Site(
                site=self.name,
                provider=self.provider,
                city=f"{self.provider}-town",
                country=country,
                latitude=48,
                longitude=11,
                kind="datacentre",
                source="test",
            ),
            offers=offers,
            runs=("container", "bucket", "postgres", "endpoint"),
            data_address="127.0.0.1",
            channel_port=7199,
        )

    def state(self) -> None:
        self.say("statement", StatementState(statement=self.statement()))

    def say(
        self, subject: str, state: Any, order: Instruction | None = None, failure: Failure | None = None
    ) -> Any:
        return self.send(self.sign(subject, state, order, failure))

    def sign(
        self, subject: str, state: Any, order: Instruction | None = None, failure: Failure | None = None
    ) -> str:
        self.sequence += 1
        observation = Observation(
            site=self.name,
            subject=subject,
            sequence=self.sequence,
            generation=order.generation if order else None,
            at=self.world.watch.now(),
            state=state,
            failure=failure,
        )
        return self.signer.sign(canonical_bytes(observation), "hanse-observation")

    def send(self, *documents: str) -> Any:
        body = {"documents": list(documents)}
        reply = self.world.http.request("POST", "/v1/site/observations", json=body, headers=self.headers())
        assert reply.status_code == 200, reply.text
        return reply.json()

    def pull(self) -> list[Instruction]:
        """Verified instructions that are new."""
        reply = self.world.http.request(
            "GET", f"/v1/site/instructions?since={self.serial}&wait=0", headers=self.headers()
        )
        assert reply.status_code == 200, reply.text
        found = []
        for document in reply.json()["documents"]:
            payload = self.signer.verify(document, "hanse-instruction", self.world.hub.certificate_pem)
            instruction = Instruction.model_validate_json(payload)
            self.serial = max(self.serial, instruction.serial)
            self.orders[instruction.subject] = instruction
            found.append(instruction)
        return found

    def obey(self) -> bool:
        """Answer everything new. True if there was anything. What was not delivered is sent again."""
        found = self.pull()
        for instruction in found:
            words = self.answer(self, instruction) if self.answer else None
            if words == "silent":
                continue
            said = words if words is not None else obedient(self, instruction)
            self.unsent += [self.sign(*each) for each in said]
        busy = bool(found or self.unsent)
        while self.unsent:
            self.send(self.unsent[0])
            self.unsent.pop(0)
        return busy

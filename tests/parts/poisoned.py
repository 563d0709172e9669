"""Runs the pure rooms with clock, files, network, randomness and logging taken away.

A program of its own: whoever calls what is taken away gets a Poison, whatever it catches.
"""

import builtins
import datetime
import io
import logging
import os
import random
import secrets
import socket
import subprocess
import sys
import time

from hanse.catalogue.market import places_of, shipped_market
from hanse.matching.planner import match
from hanse.matching.verify import verify
from hanse.model.application.reader import ReadApplication, read_application
from hanse.model.market.offer import Catalogue
from hanse.model.market.plan import Plan
from hanse.model.replica.operation import Operation
from hanse.model.replica.role import ReplicaKey
from hanse.model.replica.spec import FakeSpec, Size
from hanse.model.shape import canonical_bytes, digest_of
from hanse.replicas.step import step
from hanse.replicas.view import ComponentView, View
from hanse.rules.expand import expand

APPLICATION = """\
hanse: 1
name: clinic
policy: {countries: EU, latency: [{component: images, to: {city: Milan}, max_ms: 40}]}
components:
  images: {kind: bucket, size: {storage_gib: 50}}
"""
NOON = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)


class Poison(BaseException):
    """Not an Exception, so that nothing swallows it."""


def forbidden(*_: object, **__: object) -> None:
    raise Poison


def poison() -> None:
    for owner, names in (
        (builtins, ("open",)),
        (io, ("open",)),
        (os, ("open", "urandom", "listdir", "stat", "getenv")),
        (time, ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep")),
        (random, ("random", "randint", "choice", "shuffle", "Random")),
        (secrets, ("token_bytes", "token_hex", "token_urlsafe")),
        (logging.Logger, ("_log", "handle")),
        (socket, ("socket", "create_connection", "getaddrinfo")),
        (subprocess, ("Popen", "run")),
    ):
        for name in names:
            setattr(owner, name, forbidden)


def decide(market: Catalogue, places: dict[str, tuple[float, float]]) -> None:
    read = read_application(APPLICATION, "clinic.yaml")
    assert isinstance(read, ReadApplication), read
    mandate = expand(read.application, read.lines, places)
    plan = match(mandate, market, market="all")
    assert isinstance(plan, Plan), plan
    assert verify(plan, mandate, market) == ()
    key = ReplicaKey(application="clinic", component="images")
    spec = FakeSpec(size=Size())
    deploy = Operation(
        operation="o1",
        kind="deploy",
        key=key,
        component_kind="fake",
        mandate=digest_of(canonical_bytes(mandate)),
        target="basilisco/bologna",
        started_at=NOON,
    )
    step(deploy, View(component=ComponentView(key=key, kind="fake"), spec=spec, peers={}), NOON)


if __name__ == "__main__":
    market = shipped_market()
    places = places_of(market)
    decide(market, places)  # pydantic completes its shapes at their first use, from files
    poison()
    decide(market, places)
    sys.stdout.write("pure\n")

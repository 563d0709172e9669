"""The proxy's configuration: same input, same bytes; nothing from outside becomes a directive."""

from dataclasses import replace

import pytest

from hanse.drivers.contract import GateStream, LocalRoute, RouteUpstream
from hanse.drivers.endpoint.config import Setting, frontend_of, render
from hanse.ports import Permanent

SETTING = Setting("127.0.0.9")
STREAM = GateStream("shop/files/0/live:clients", 7000, ("127.0.0.9", 9000), (), open=True)
UPSTREAM = RouteUpstream("acme/one", ("127.0.0.9", 7000), None)
ROUTE = LocalRoute("endpoint:shop/web", "http", ("127.0.0.8", 8080), (UPSTREAM,), "acme/one")
EVIL = "x\n  stats socket /tmp/s level admin"


def test_the_same_input_gives_the_same_bytes() -> None:
    other = replace(STREAM, name="shop/files/1/live:clients", port=7001)
    assert render((STREAM, other), (ROUTE,), SETTING) == render((other, STREAM), (ROUTE,), SETTING)


def test_opening_and_switching_do_not_change_the_shape() -> None:
    before = render((STREAM,), (ROUTE,), SETTING)
    after = render((replace(STREAM, open=False),), (replace(ROUTE, active=None),), SETTING)
    assert before.text != after.text
    assert before.shape == after.shape


def test_another_upstream_changes_the_shape() -> None:
    more = replace(ROUTE, upstreams=(UPSTREAM, replace(UPSTREAM, name="acme/two")))
    assert render((), (ROUTE,), SETTING).shape != render((), (more,), SETTING).shape


@pytest.mark.parametrize(
    "stream",
    [
        replace(STREAM, name=EVIL),
        replace(STREAM, name="a b"),
        replace(STREAM, name=""),
        replace(STREAM, port=0),
        replace(STREAM, port=70000),
        replace(STREAM, upstream=(EVIL, 1)),
        replace(STREAM, upstream=("a;b", 1)),
        replace(STREAM, allowed_certificates_pem=(EVIL,)),
    ],
)
def test_a_stream_that_does_not_fit_is_refused(stream: GateStream) -> None:
    with pytest.raises(Permanent) as caught:
        render((stream,), (), SETTING)
    assert caught.value.code == "route-invalid"


@pytest.mark.parametrize(
    "route",
    [
        replace(ROUTE, name=EVIL),
        replace(ROUTE, protocol=EVIL),
        replace(ROUTE, listen=(EVIL, 80)),
        replace(ROUTE, active="acme/three"),
        replace(ROUTE, upstreams=(replace(UPSTREAM, name=EVIL),), active=None),
        replace(ROUTE, upstreams=(replace(UPSTREAM, address=("$(id)", 1)),), active=None),
        replace(ROUTE, upstreams=(replace(UPSTREAM, pinned_certificate_pem=EVIL),), active=None),
        replace(ROUTE, upstreams=(UPSTREAM, UPSTREAM)),
        replace(ROUTE, upstreams=(replace(UPSTREAM, name="onward"),), active=None),
    ],
)
def test_a_route_that_does_not_fit_is_refused(route: LocalRoute) -> None:
    with pytest.raises(Permanent) as caught:
        render((), (route,), SETTING)
    assert caught.value.code == "route-invalid"


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(Permanent):
        render((STREAM, STREAM), (), SETTING)


def test_names_stay_apart() -> None:
    assert frontend_of("a/b:c") != frontend_of("a.b:c")

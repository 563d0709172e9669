"""What sites are ordered for a database, its consumers and endpoints, from the deploy to the way back."""

from pathlib import Path

import pytest
from hub_files import clinic_file
from hub_world import World

from hanse.model.replica.order import ReplicaOrder, RouteOrder, TicketOrder
from hanse.model.replica.spec import GIB, PostgresSpec
from hanse.trust.keys import make_sealing_key, public_sealing_key

CONNECTIONS = "/v1/applications/clinic/components/db/connections"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path / "images")
    made.join("alder/one", "birch/one", "cedar/one")
    made.play()
    return made


def run(world: World, clients: str = "session") -> World:
    world.apply(clinic_file(world.push_image(), clients=clients), "clinic")
    world.play()
    return world


@pytest.fixture
def clinic(world: World) -> World:
    return run(world)


def order_of(world: World, subject: str, site: str) -> ReplicaOrder | RouteOrder | TicketOrder:
    found = world.sites[site].orders[subject].order
    assert isinstance(found, ReplicaOrder | RouteOrder | TicketOrder)
    return found


def site_of(world: World, component: str) -> str:
    parts = world.status("clinic")["components"]
    return next(str(each["site"]) for each in parts if each["component"] == component)


def web_order(world: World) -> ReplicaOrder:
    found = order_of(world, "replica/clinic/web/0/live", site_of(world, "web"))
    assert isinstance(found, ReplicaOrder)
    return found


def endpoint_of(world: World) -> tuple[str, RouteOrder]:
    site = str(world.status("clinic")["endpoints"][0]["site"])
    found = order_of(world, "route/clinic/web", site)
    assert isinstance(found, RouteOrder)
    return site, found


def move(world: World, **wish: object) -> list[TicketOrder]:
    """The database moves; the tickets that sites were given, by site."""
    world.ask("POST", "/v1/applications/clinic/moves", {"component": "db", **wish})
    world.play()
    orders = [
        (name, subject, each.order)
        for name, site in world.sites.items()
        for subject, each in site.orders.items()
    ]
    return [order for _, subject, order in orders if isinstance(order, TicketOrder)]


def test_a_database_is_ordered_with_its_size_databases_and_extensions(clinic: World) -> None:
    order = order_of(clinic, "replica/clinic/db/0/live", site_of(clinic, "db"))
    spec = order.spec
    assert isinstance(spec, PostgresSpec)
    assert (spec.databases, spec.extensions) == (("records", "audit"), ("pg_trgm", "uuid-ossp"))
    assert (spec.size.cpu_milli, spec.size.memory_bytes, spec.size.disk_bytes) == (1000, 2 * GIB, 20 * GIB)
    assert clinic.status("clinic")["state"] == "running"


@pytest.mark.parametrize("clients", ["session", "transaction-safe"])
def test_a_consumer_is_told_how_it_uses_the_database(world: World, clients: str) -> None:
    run(world, clients)
    (binding,) = web_order(world).bindings
    assert (binding.component, binding.kind, binding.clients) == ("db", "postgres", clients)
    assert binding.upstream is not None
    assert binding.sealed_credential.startswith("sealed for web@")
    assert endpoint_of(world)[1].retries_unavailable is (clients == "session")


def test_an_endpoint_keeps_away_from_the_database_although_no_traffic_is_stated(clinic: World) -> None:
    here = endpoint_of(clinic)[0].partition("/")[0]
    assert here not in {site_of(clinic, name).partition("/")[0] for name in ("web", "db")}


def test_in_a_move_endpoints_hold_the_requests_of_consumers_that_lose_their_connections(
    clinic: World,
) -> None:
    tickets = move(clinic, to="cedar/one")
    assert tickets
    for order in tickets:
        assert order.ticket.holding == ("web",)
        assert endpoint_of(clinic)[0] in {peer.site for peer in order.ticket.routes}


def test_consumers_whose_connections_wait_need_no_endpoint_to_hold(world: World) -> None:
    run(world, "transaction-safe")
    tickets = move(world, to="cedar/one")
    assert {order.ticket.holding for order in tickets} == {()}
    routes = {peer.site for order in tickets for peer in order.ticket.routes}
    assert routes == {site_of(world, "web")}


def test_after_a_move_the_consumer_has_the_new_place_and_its_credential(clinic: World) -> None:
    move(clinic, to="cedar/one")
    assert site_of(clinic, "db") == "cedar/one"
    (binding,) = web_order(clinic).bindings
    assert binding.upstream is not None
    assert (binding.upstream.stream.peer.site, binding.upstream.epoch) == ("cedar/one", 2)
    assert binding.clients == "session"


def test_a_database_goes_back_where_it_came_from(clinic: World) -> None:
    before = site_of(clinic, "db")
    move(clinic, to="cedar/one")
    move(clinic, back=True)
    assert site_of(clinic, "db") == before


def test_a_connection_to_a_database_names_all_of_them(clinic: World) -> None:
    asked = {
        "certificate_pem": clinic.sites["alder/one"].certificate,
        "sealing_key": public_sealing_key(make_sealing_key()),
    }
    opened = clinic.ask("POST", CONNECTIONS, asked)
    assert not opened["ready"]
    clinic.play()
    found = clinic.ask("GET", f"{CONNECTIONS}/{opened['id']}")
    assert (found["ready"], found["kind"], found["databases"]) == (True, "postgres", ["records", "audit"])
    assert found["sealed_credential"]
    assert found["bucket"] == ""


def test_what_a_running_database_is_cannot_be_changed_in_place(clinic: World) -> None:
    text = clinic_file(clinic.push_image()).replace("storage_gib: 20", "storage_gib: 30")
    planned = clinic.ask("POST", "/v1/plans", {"file": text})
    refused = clinic.refused("PUT", "/v1/applications/clinic", {"plan": planned["id"]})
    assert refused[1] == "change-refused"


def test_a_retired_clinic_leaves_nothing_that_serves(clinic: World) -> None:
    clinic.ask("POST", "/v1/applications/clinic/retirement", {"erase_now": True})
    clinic.play()
    assert clinic.status("clinic")["state"] == "ended"
    parts = clinic.status("clinic")["components"]
    assert {each["ordered"] for part in parts for each in part["replicas"]} == {"absent"}

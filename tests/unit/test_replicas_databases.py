"""What is different for a database: credentials made anew, endpoints that hold, sessions that break."""

from dataclasses import dataclass, replace

import pytest
from step_world import FILES, ONE, THREE, TWO, WEB, StepWorld

from hanse.model.replica.order import RouteOrder, TicketOrder
from hanse.model.replica.spec import PostgresSpec, Size

DATABASE = PostgresSpec(size=Size(), databases=("files",))


@dataclass
class DatabaseWorld(StepWorld):
    """`files` is a database that `web` uses with sessions."""

    clients: str = "session"
    protocol: str = "http"
    late: bool = False
    """The new primary has made no credentials yet."""

    def view(self, operation):
        seen = super().view(operation)
        endpoint = replace(self._endpoint(), retries_unavailable=self.clients == "session")
        if operation.key == WEB:
            return replace(seen, endpoint=endpoint)
        consumers = tuple(replace(one, clients=self.clients, endpoint=endpoint) for one in seen.consumers)
        return replace(seen, spec=DATABASE, consumers=consumers)

    def _endpoint(self):
        plain = StepWorld.view(self, self.operation("deploy", WEB, target=TWO)).endpoint
        return replace(plain, protocol=self.protocol)

    def component(self, key):
        seen = super().component(key)
        return seen if key == WEB else replace(seen, kind="postgres", clients=self.clients)

    def _replica(self, site, order):
        state = super()._replica(site, order)
        hides = self.late and order.key == FILES and order.epoch == 2
        return state.model_copy(update={"sealed_credentials": {}}) if hides else state


def running(**how) -> DatabaseWorld:
    world = DatabaseWorld(**how)
    for key, site in ((FILES, ONE), (WEB, TWO)):
        assert world.run(world.operation("deploy", key, target=site)).state == "done"
    return world


def ticket_of(world):
    return next(order.ticket for _, order in world.issued if isinstance(order, TicketOrder))


def test_a_consumer_starts_once_its_credential_is_made_and_knows_its_way_of_using_it():
    world = running()
    binding = world.facts[TWO, f"replica/{WEB}"].order.bindings[0]
    assert (binding.kind, binding.clients) == ("postgres", "session")
    assert binding.sealed_credential == f"sealed by {ONE} for web@{TWO}"


@pytest.mark.parametrize(
    ("clients", "protocol", "holding"),
    [("session", "http", ("web",)), ("transaction-safe", "http", ()), ("session", "tcp", ())],
)
def test_only_requests_of_programs_that_lose_their_connections_are_held(clients, protocol, holding):
    world = running(clients=clients, protocol=protocol)
    assert world.run(world.operation("move", FILES, target=THREE)).state == "done"
    ticket = ticket_of(world)
    assert ticket.holding == holding
    assert {peer.site for peer in ticket.routes} == ({TWO, THREE} if holding else {TWO})


@pytest.mark.parametrize(("clients", "protocol", "retries"), [
    ("session", "http", True), ("transaction-safe", "http", False), ("session", "tcp", False),
])  # fmt: skip
def test_the_endpoint_of_such_a_program_asks_again_when_it_is_unavailable(clients, protocol, retries):
    world = running(clients=clients, protocol=protocol)
    routes = [order for _, order in world.issued if isinstance(order, RouteOrder)]
    assert {route.retries_unavailable for route in routes} == {retries}


def test_consumers_are_not_sent_to_the_new_primary_before_it_has_made_their_credentials():
    world = running(late=True)
    moving = world.run(world.operation("move", FILES, target=THREE), limit=30)
    assert (moving.state, moving.phase) == ("open", "redirecting")
    assert moving.reason == f"{THREE} has not made a new credential for web@{TWO} yet"
    assert world.facts[TWO, f"replica/{WEB}"].order.bindings[0].upstream.stream.peer.site == ONE
    world.late = False
    fact = world.facts[THREE, f"replica/{FILES}"]
    fact.state = world._replica(THREE, fact.order)
    assert world.run(moving).state == "done"
    binding = world.facts[TWO, f"replica/{WEB}"].order.bindings[0]
    assert binding.sealed_credential == f"sealed by {THREE} for web@{TWO}"

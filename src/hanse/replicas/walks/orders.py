"""How orders are built: grants for readers, bindings for consumers, roles for sites."""

from collections.abc import Iterable

from hanse.model.replica.order import ReplicaOrder, RouteOrder
from hanse.model.replica.role import ReplicaRole
from hanse.model.replica.spec import BindingSpec, FakeSpec, Grant, Peer, ReplicaSpec, Upstream
from hanse.model.shape import SiteId
from hanse.replicas.view import ComponentView, EndpointView
from hanse.replicas.walks.stages import Case


def is_stateless(spec: ReplicaSpec) -> bool:
    """True for a component whose epoch belongs to the route (DESIGN 13.8)."""
    return spec.stateless if isinstance(spec, FakeSpec) else spec.kind == "container"


def has_credentials(component: ComponentView) -> bool:
    """True for kinds whose service asks for a credential, which its site makes and seals for each reader."""
    return component.kind in ("bucket", "postgres")


def consumer_grant(component: str, peer: Peer) -> Grant:
    """`component` at the peer's site may read and write."""
    return _grant(f"{component}@{peer.site}", "write", peer)


def follower_grant(peer: Peer) -> Grant:
    """The peer's site may follow."""
    return _grant(f"follower@{peer.site}", "read", peer)


def endpoint_grant(peer: Peer) -> Grant:
    """The endpoint at the peer's site may connect."""
    return _grant(f"endpoint@{peer.site}", "write", peer)


def _grant(name: str, access: str, peer: Peer) -> Grant:
    return Grant.model_validate(
        {
            "name": name,
            "access": access,
            "certificate_pem": peer.certificate_pem,
            "sealing_key": peer.sealing_key,
        }
    )


def with_grants(order: ReplicaOrder, add: Iterable[Grant] = (), remove: Iterable[str] = ()) -> ReplicaOrder:
    """The order with some grants more or less; all others stay, whoever asked for them."""
    gone = set(remove)
    grants = {grant.name: grant for grant in order.grants if grant.name not in gone}
    grants.update({grant.name: grant for grant in add})
    if grants == {grant.name: grant for grant in order.grants}:
        return order
    return order.model_copy(update={"grants": tuple(grants[name] for name in sorted(grants))})


def with_upstreams(
    order: ReplicaOrder,
    component: str,
    *,
    active: Upstream | None,
    prepared: Upstream | None,
    credential: str = "",
) -> ReplicaOrder:
    """A consumer's order with the binding to `component` pointing elsewhere.

    Its credential stays, except where the new primary has sealed it anew.
    """
    bindings = tuple(
        binding.model_copy(
            update={
                "upstream": active or binding.upstream,
                "standby_upstream": prepared,
                "sealed_credential": credential or binding.sealed_credential,
            }
        )
        if binding.component == component
        else binding
        for binding in order.bindings
    )
    return order.model_copy(update={"bindings": bindings})


def role_order(case: Case, role: ReplicaRole, epoch: int) -> ReplicaOrder:
    """A bare order: the role, the epoch, the mandate's spec."""
    return ReplicaOrder(
        key=case.operation.key, role=role, epoch=epoch, mandate=case.operation.mandate, spec=case.view.spec
    )


def upstream_of(component: ComponentView, site: SiteId, epoch: int) -> Upstream | None:
    """The clients' stream of a replica, once its site has told it."""
    replica = component.replicas.get(site)
    if replica is None or replica.state is None or replica.state.clients is None:
        return None
    return Upstream(stream=replica.state.clients, epoch=epoch)


def bindings_for(case: Case, consumer: str, site: SiteId) -> tuple[BindingSpec, ...]:
    """What the consumer at `site` needs of each used component; only what is known already."""
    made = []
    for used in case.view.uses:
        primary = used.primary_site()
        if primary is None:
            continue
        replica = used.replicas[primary]
        epoch = replica.order.epoch if replica.order is not None else 0
        credential = ""
        if replica.state is not None:
            credential = replica.state.sealed_credentials.get(f"{consumer}@{site}", "")
        made.append(
            BindingSpec(
                component=used.key.component,
                kind="postgres" if used.kind == "postgres" else "bucket",
                upstream=upstream_of(used, primary, epoch),
                sealed_credential=credential,
                clients=used.clients,
            )
        )
    return tuple(made)


def route_order(
    case: Case, endpoint: EndpointView, active: Upstream | None, prepared: Upstream | None = None
) -> RouteOrder:
    """The endpoint's route to `active`, with a second upstream prepared."""
    return RouteOrder(
        application=case.operation.key.application,
        component=case.operation.key.component,
        protocol=endpoint.protocol,
        upstream=active,
        standby_upstream=prepared,
        listen_port=endpoint.listen_port,
        retries_unavailable=endpoint.retries_unavailable and endpoint.protocol == "http",
    )

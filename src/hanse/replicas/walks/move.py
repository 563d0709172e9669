"""Move of a component with state: follow, hand over by ticket, follow back. A standby is its first half."""

from hanse.model.replica.order import ReplicaOrder
from hanse.model.replica.role import ReplicaRole
from hanse.model.replica.spec import Grant
from hanse.model.shape import SiteId
from hanse.replicas.view import ReplicaView
from hanse.replicas.walks.checks import ahead, first, holds, reaches
from hanse.replicas.walks.deploy import gone, target_of
from hanse.replicas.walks.leave import left_order
from hanse.replicas.walks.orders import follower_grant, has_credentials, role_order, with_grants
from hanse.replicas.walks.redirect import forgetting, preparing, redirecting
from hanse.replicas.walks.stages import SATISFIED, Case, Check, Stage, Walk
from hanse.replicas.walks.ticket import cutting_over, relay, route_sites, source_of

PRIMARY, STANDBY = ReplicaRole.PRIMARY, ReplicaRole.STANDBY


def reaching(case: Case) -> Check:
    """Source and target reach each other, and whoever uses the component reaches the target."""
    source, target = source_of(case), target_of(case)
    pairs = [(source, target), (target, source)]
    if case.operation.kind == "move":
        pairs += [(site, target) for site in route_sites(case)]
    return reaches(pairs, case)


def granting(case: Case) -> Check:
    """The source lets the target follow."""
    return _followed_by(case, source_of(case), target_of(case))


def _followed_by(case: Case, primary: SiteId, follower: SiteId) -> Check:
    replica = case.view.replica(primary)
    if replica.order is None or replica.order.role is not PRIMARY:
        return Check(stuck=f"{primary} is not ordered to be primary of {case.view.component.key}")
    wanted = with_grants(replica.order, add=[follower_grant(case.view.peers[follower])])
    check = holds(replica, primary, wanted)
    if not check.satisfied:
        return check
    state = replica.state
    if state is None or state.followers is None:
        return Check(why=f"{primary} has not said yet where {follower} can follow")
    if has_credentials(case.view.component) and f"follower@{follower}" not in state.sealed_credentials:
        return Check(why=f"{primary} has not made a credential for {follower} to follow yet")
    return SATISFIED


def following(case: Case) -> Check:
    """The target follows, and lacks little."""
    target, source = target_of(case), source_of(case)
    base = _standby_order(case, source, target)
    wanted = base.model_copy(update={"grants": _grants_after(case)})
    return holds(case.view.replica(target), target, wanted)


def _standby_order(case: Case, primary: SiteId, follower: SiteId) -> ReplicaOrder:
    """Follow `primary` at the epoch that it serves."""
    replica = case.view.replica(primary)
    state, order = replica.state, replica.order
    epoch = order.epoch if order is not None else case.operation.from_epoch
    current = case.view.replica(follower).order
    credential = state.sealed_credentials.get(f"follower@{follower}", "") if state is not None else ""
    if current is not None and (current.role, current.epoch) == (STANDBY, epoch):
        credential = credential or current.sealed_follow_credential
    return role_order(case, STANDBY, epoch).model_copy(
        update={
            "follow": state.followers if state is not None else None,
            "sealed_follow_credential": credential,
        }
    )


def _grants_after(case: Case) -> tuple[Grant, ...]:
    """Who may use the target once it serves: the source's readers, and those who will follow it."""
    order = case.view.replica(case.operation.source).order
    if order is None:
        return ()
    if case.operation.kind == "standby":
        return tuple(grant for grant in order.grants if not grant.name.startswith("follower@"))
    readers = [grant.name for grant in order.grants if grant.name.startswith("follower@")]
    followers = [follower_grant(case.view.peers[site]) for site in _followers_after(case)]
    return with_grants(order, add=followers, remove=set(readers) - {g.name for g in followers}).grants


def _followers_after(case: Case) -> tuple[SiteId, ...]:
    """The source on its way back, and every other standby there is."""
    others = [
        site
        for site, replica in sorted(case.view.component.replicas.items())
        if site not in (case.operation.source, case.operation.target)
        and replica.order is not None
        and replica.order.role is STANDBY
    ]
    back = [] if leaves(case) else [source_of(case)]
    return tuple(back + others)


def leaves(case: Case) -> bool:
    """No way back after this move."""
    return case.operation.leave or case.operation.way_back_seconds == 0


def following_to_move(case: Case) -> Check:
    """The same; meanwhile connectors and endpoint hear of the target."""
    return ahead(following(case), preparing(case))


def settling(case: Case) -> Check:
    """The target's level order says what the ticket made of it; the relinquishment is passed on if needed."""
    state, epoch = case.view.replica(target_of(case)).state, case.operation.from_epoch + 1
    serves = state is not None and state.role is PRIMARY and state.epoch == epoch and state.ready
    return ahead(_settled(case), *([redirecting(case)] if serves else []))


def _settled(case: Case) -> Check:
    target = target_of(case)
    replica = case.view.replica(target)
    epoch = case.operation.from_epoch + 1
    wanted = replica.order
    if wanted is None or wanted.role is not PRIMARY or wanted.epoch != epoch:
        wanted = role_order(case, PRIMARY, epoch).model_copy(
            update={"grants": _grants_after(case), "handed_over_from": case.operation.from_epoch}
        )
    check = holds(replica, target, wanted)
    return SATISFIED if check.satisfied else first(relay(case), check)


def redirecting_all(case: Case) -> Check:
    """Everybody sends to the target; meanwhile those that go on following hear of it."""
    return ahead(redirecting(case), *([] if leaves(case) else [following_back(case)]))


def following_back(case: Case) -> Check:
    """Every follower follows the new primary; a source that is left is retained or erased."""
    checks = [_follows(case, site) for site in _followers_after(case)]
    if leaves(case):
        source = source_of(case)
        wanted = left_order(case, source, epoch=case.operation.from_epoch + 1)
        checks.append(holds(case.view.replica(source), source, wanted))
    return first(SATISFIED, *checks)


def _follows(case: Case, site: SiteId) -> Check:
    target = target_of(case)
    granted = _followed_by(case, target, site)
    if not granted.satisfied:
        return granted
    replica = case.view.replica(site)
    check = holds(replica, site, _standby_order(case, target, site))
    return SATISFIED if check.why and _follows_at_least(replica, case) else check


def _follows_at_least(replica: ReplicaView, case: Case) -> bool:
    """A way back that still catches up does not hold the move open."""
    state = replica.state
    return (
        replica.told.is_answered
        and replica.told.failure is None
        and state is not None
        and state.role is STANDBY
        and state.epoch > case.operation.from_epoch
    )


def undo_move(case: Case) -> Check:
    """The source goes on as before; the target is what it was before."""
    target = target_of(case)
    checks = [forgetting(case)] if case.operation.kind == "move" else [SATISFIED]
    if case.operation.target_before is not STANDBY:
        checks += [gone(case, target), _unfollowed(case, target)]
    return first(*checks)


def _unfollowed(case: Case, follower: SiteId) -> Check:
    source = source_of(case)
    order = case.view.replica(source).order
    name = f"follower@{follower}"
    if order is None or not any(grant.name == name for grant in order.grants):
        return SATISFIED
    return Check(orders=((source, with_grants(order, remove=[name])),), why=f"{follower} may not follow")


STANDBY_STAGES = (Stage("reaching", reaching), Stage("granting", granting), Stage("following", following))
STANDBY_WALK = Walk(STANDBY_STAGES, undo_move)
MOVE_STATEFUL = Walk(
    (
        *STANDBY_STAGES[:-1],
        Stage("following", following_to_move),
        Stage("preparing", preparing),
        Stage("cutting-over", cutting_over, asks_itself=True),
        Stage("settling", settling, undoable=False),
        Stage("redirecting", redirecting_all, undoable=False),
        Stage("following-back", following_back, undoable=False),
    ),
    undo_move,
)

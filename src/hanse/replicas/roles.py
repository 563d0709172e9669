"""The one table of role transitions. What is not in it is not allowed and raises."""

from enum import StrEnum

from hanse.model.replica.role import ReplicaRole


class RoleEvent(StrEnum):
    """What may happen to a replica's role at its site."""

    DEPLOY = "deploy"
    """First primary of an epoch chain, or of a component without state."""
    FOLLOW = "follow"
    """Become or stay a standby."""
    TAKE_OVER = "take-over"
    """Standby to primary: with a relinquishment in hand, or without state."""
    FENCE = "fence"
    RESUME = "resume"
    """Fenced back to primary, same epoch: the cut-over was called off."""
    REJOIN = "rejoin"
    """Fenced to standby of the new primary."""
    REST = "rest"
    """Primary without state to standby: stopped, everything kept in place."""
    RETAIN = "retain"
    ERASE = "erase"


P, S, F, R, A = (
    ReplicaRole.PRIMARY,
    ReplicaRole.STANDBY,
    ReplicaRole.FENCED,
    ReplicaRole.RETAINED,
    ReplicaRole.ABSENT,
)

TRANSITIONS: dict[tuple[ReplicaRole, RoleEvent], ReplicaRole] = {
    (A, RoleEvent.DEPLOY): P,
    (A, RoleEvent.FOLLOW): S,
    (A, RoleEvent.ERASE): A,
    (S, RoleEvent.FOLLOW): S,
    (S, RoleEvent.TAKE_OVER): P,
    (S, RoleEvent.RETAIN): R,
    (S, RoleEvent.ERASE): A,
    (P, RoleEvent.FENCE): F,
    (P, RoleEvent.REST): S,
    (F, RoleEvent.FENCE): F,
    (F, RoleEvent.RESUME): P,
    (F, RoleEvent.REJOIN): S,
    (F, RoleEvent.RETAIN): R,
    (F, RoleEvent.ERASE): A,
    (R, RoleEvent.FOLLOW): S,
    (R, RoleEvent.RETAIN): R,
    (R, RoleEvent.ERASE): A,
}

_PATHS: dict[tuple[ReplicaRole, ReplicaRole], tuple[RoleEvent, ...]] = {
    (A, P): (RoleEvent.DEPLOY,),
    (A, S): (RoleEvent.FOLLOW,),
    (S, P): (RoleEvent.TAKE_OVER,),
    (S, R): (RoleEvent.RETAIN,),
    (S, A): (RoleEvent.ERASE,),
    (P, F): (RoleEvent.FENCE,),
    (P, R): (RoleEvent.FENCE, RoleEvent.RETAIN),
    (P, A): (RoleEvent.FENCE, RoleEvent.ERASE),
    (F, P): (RoleEvent.RESUME,),
    (F, S): (RoleEvent.REJOIN,),
    (F, R): (RoleEvent.RETAIN,),
    (F, A): (RoleEvent.ERASE,),
    (R, S): (RoleEvent.FOLLOW,),
    (R, A): (RoleEvent.ERASE,),
}


class TransitionError(ValueError):
    """This role knows no such event."""


def transition(role: ReplicaRole, event: RoleEvent) -> ReplicaRole:
    """The role after `event`. Raises TransitionError for every pair that is not in the table."""
    try:
        return TRANSITIONS[role, event]
    except KeyError:
        raise TransitionError(f"a replica that is {role} cannot {event}") from None


def path(role: ReplicaRole, wanted: ReplicaRole, *, stateful: bool) -> tuple[RoleEvent, ...]:
    """The events that lead from `role` to `wanted`, in order; empty if it is there already.

    Raises TransitionError where no walk of one site alone leads there (a primary with state cannot
    become a standby without a cut-over, a retained replica cannot serve).
    """
    if role is wanted:
        return ()
    if not stateful and (role, wanted) == (P, S):
        return (RoleEvent.REST,)
    if not stateful and role is R:
        raise TransitionError("a component without state is never retained")
    try:
        return _PATHS[role, wanted]
    except KeyError:
        raise TransitionError(f"a replica that is {role} cannot become {wanted} by an order alone") from None

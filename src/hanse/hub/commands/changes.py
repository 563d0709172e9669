"""A running application's changed file: what can be done in place is done, the rest is refused with words.

Done in place: policy (if everything may stay where it is), `way_back`, `retrieval`, and a container's
`image`, `command` and `env` (it is restarted at its site). Everything else is refused.
"""

from hanse.hub.context import Change
from hanse.hub.records import ApplicationRecord, OrderedRecord, PlanRecord, Stored, load_all
from hanse.hub.settlement import require_idle, save_application
from hanse.hub.spec import key_of, spec_of
from hanse.model.application.file import Application, Component, ContainerComponent
from hanse.model.replica.order import ReplicaOrder
from hanse.model.replica.role import ReplicaRole
from hanse.ports import Permanent

IN_PLACE = frozenset({"way_back_seconds", "retrieval_seconds", "image", "command", "env", "countries"})
"""Fields of a component that can change while it runs."""
IN_WORDS = {"way_back_seconds": "way_back", "retrieval_seconds": "retrieval"}


def change_running(
    change: Change, stored: Stored[ApplicationRecord], plan: PlanRecord, objection: str
) -> tuple[str, ...]:
    """Change a running application to the plan's file. Returns what changed, in words.

    Raises Permanent(`change-refused`) naming every field that cannot be changed, and changes nothing;
    Permanent(`application-busy`). `objection`: why the new mandate does not allow the present places.
    """
    require_idle(change.tx, stored.key, "be changed")
    old, new = stored.value.application, plan.application
    refused = tuple(_refusals(old, new))
    if refused:
        raise Permanent(
            "change-refused",
            f"{stored.key} runs, and this cannot be changed while it does: {'; '.join(refused)}. Nothing was "
            "changed. Give the file another `name` to run it beside this one, or retire this one first: "
            f"`hanse retire {stored.key}`.",
        )
    if objection:
        raise Permanent(
            "change-refused",
            f"{stored.key} may not stay where it is under the changed file: {objection}. Nothing was "
            "changed. Move it first, then apply again.",
        )
    words = tuple(_words(old, new))
    update = {
        "file": plan.file,
        "application": new,
        "mandate": plan.mandate,
        "mandate_digest": plan.plan.mandate,
        "plan": plan.id,
    }
    save_application(change, stored, stored.value.model_copy(update=update))
    restarted = [name for name in new.components if spec_of(old, name) != spec_of(new, name)]
    for name in restarted:
        _restart(change, new, name)
    change.note("application-changed", f"application/{stored.key}/", changed=list(words), plan=plan.id)
    return words


def _refusals(old: Application, new: Application) -> list[str]:
    added, gone = new.components.keys() - old.components.keys(), old.components.keys() - new.components.keys()
    found = [f"component {name} is new" for name in sorted(added)]
    found += [f"component {name} is missing" for name in sorted(gone)]
    for name in sorted(old.components.keys() & new.components.keys()):
        fields = _changed_fields(old.components[name], new.components[name]) - IN_PLACE
        found += [f"{name}.{IN_WORDS.get(field, field)}" for field in sorted(fields)]
    return found


def _changed_fields(old: Component, new: Component) -> set[str]:
    if old.kind != new.kind:
        return {"kind"}
    before, after = old.model_dump(), new.model_dump()
    return {field for field in before if before[field] != after[field]}


def _words(old: Application, new: Application) -> list[str]:
    found = [] if old.policy == new.policy else ["policy"]
    for name in sorted(new.components):
        fields = _changed_fields(old.components[name], new.components[name])
        found += [f"{name}.{IN_WORDS.get(field, field)}" for field in sorted(fields)]
    return found


def _restart(change: Change, application: Application, component: str) -> None:
    """The present primary, at its epoch, with the new spec; its site restarts the program."""
    if not isinstance(application.components[component], ContainerComponent):
        return
    key = key_of(application.name, component)
    spec = spec_of(application, component)
    for ordered in load_all(change.tx, "ordered", OrderedRecord, prefix=f"replica/{key} "):
        order = ordered.value.order
        if isinstance(order, ReplicaOrder) and order.role in (ReplicaRole.PRIMARY, ReplicaRole.STANDBY):
            change.order(ordered.value.site, order.model_copy(update={"spec": spec}))

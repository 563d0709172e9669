"""Plans: read a file, expand it, match it against the market as it is now."""

from hanse.hub.context import Hub
from hanse.hub.planning.market import current_catalogue
from hanse.hub.planning.reading import understand
from hanse.hub.planning.verified import make_verified
from hanse.hub.records import PlanRecord, save
from hanse.model.market.plan import NoSolution, Plan
from hanse.model.shape import Shape
from hanse.ports import Permanent

FILE_MAX_CHARS = 1024 * 1024


class Planned(Shape):
    """A plan or the reasons why there is none, and the optimum over listed offers beside it."""

    id: str
    application: str
    plan: Plan | NoSolution
    listed: Plan | NoSolution | None = None
    """None where the plan itself is over the whole market."""


def make_plan(hub: Hub, text: str, *, market: bool = False) -> Planned:
    """Match an application file. Raises `FileErrors`, Permanent(`file-too-large`, `plan-wrong`).

    Buys nothing.
    """
    if len(text) > FILE_MAX_CHARS:
        raise Permanent(
            "file-too-large",
            f"The application file has {len(text):,} characters; {FILE_MAX_CHARS:,} are enough for any "
            "application. Was the right file named?",
        )
    catalogue = current_catalogue(hub)
    application, mandate = understand(text, catalogue)
    everything = make_verified(hub, mandate, catalogue, market="all")
    plan = everything if market else make_verified(hub, mandate, catalogue, market="bookable")
    listed = None if market else everything
    with hub.change() as change:
        number = change.tx.next_number("plan")
        record = PlanRecord(
            id=f"plan-{number}",
            file=text,
            application=application,
            mandate=mandate,
            plan=plan,
            listed=listed,
            made_at=change.now,
        )
        save(change.tx, "plan", record.id, record, state=application.name, expect=0)
        change.note(
            "plan-made",
            f"application/{application.name}/plan/{record.id}",
            outcome=plan.outcome,
            mandate=plan.mandate,
            catalogue=plan.catalogue_version,
        )
        planned = Planned(id=record.id, application=application.name, plan=plan, listed=listed)
        change.answer(planned)
    return planned

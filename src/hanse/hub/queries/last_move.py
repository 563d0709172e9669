"""The newest move of an application: how far it came, why it stopped, how to go on and how to go back."""

from collections.abc import Iterator, Sequence
from typing import Literal

from hanse.hub.planning.parts import Part, parts_of
from hanse.hub.records import ApplicationRecord, MoveRequest, OrderRecord, Stored, load, load_operation
from hanse.hub.settlement import NEEDS, UNDER_WAY, part_name
from hanse.model.application.quantities import duration_words
from hanse.model.replica.operation import Operation
from hanse.model.shape import Shape, SiteId
from hanse.ports import Transaction


class MoveStep(Shape):
    """One cut-over of the move."""

    operation: str
    component: str
    """As plans name it."""
    source: SiteId | None
    target: SiteId | None
    state: str
    """`ordering`, `open`, `stuck`, `done`, `aborted`."""


class LastMove(Shape):
    """What was asked last, and what became of it."""

    order: str
    asked: str
    """The command that says the same."""
    state: Literal["under-way", "done", "stopped", "refused"]
    """`stopped`: the steps that are done stand, those after them were not begun. `refused`: nothing began."""
    why: str = ""
    steps: tuple[MoveStep, ...]
    go_on: tuple[str, ...] = ()
    """Commands that do what is left, one after the other. Empty while it is under way, or done."""
    go_back: tuple[str, ...] = ()
    """Commands that undo what is done, one after the other. Empty where nothing is, or nothing follows."""


def last_move(tx: Transaction, record: ApplicationRecord) -> LastMove | None:
    """None where nothing was ever moved."""
    order = load(tx, "order", record.move_order, OrderRecord) if record.move_order else None
    if order is None or order.value.asked is None:
        return None
    found = [load_operation(tx, name) for name in order.value.operations]
    steps = [each for each in found if each is not None]
    asked, name = order.value.asked, record.name
    state = _state(order.state, steps)
    ended = state in ("stopped", "refused")
    parts = parts_of(record)
    return LastMove(
        order=order.key,
        asked=command_of(name, asked),
        state=state,
        why=_why(order.value, steps) if ended else "",
        steps=tuple(_step(each) for each in steps),
        go_on=tuple(_go_on(name, asked, steps)) if ended else (),
        go_back=tuple(_go_back(name, asked, steps, parts)) if ended else (),
    )


def command_of(application: str, asked: MoveRequest) -> str:
    """The wish as a person types it."""
    words = ["hanse move", f"{application}/{asked.component}" if asked.component else application]
    words += [
        f"--{option} {value}"
        for option, value in (("to", asked.to), ("away-from", asked.away_from), ("country", asked.country))
        if value is not None
    ]
    if asked.back:
        words.append("--back")
    if asked.keep_old_address_seconds is not None:
        words.append(f"--keep-old-address {duration_words(asked.keep_old_address_seconds)}")
    return " ".join(words)


def _state(
    order: str, steps: Sequence[Stored[Operation]]
) -> Literal["under-way", "done", "stopped", "refused"]:
    if order == "refused":
        return "refused"
    if order != "accepted" or any(each.state in UNDER_WAY for each in steps):
        return "under-way"
    return "done" if all(each.state == "done" for each in steps) else "stopped"


def _why(order: OrderRecord, steps: Sequence[Stored[Operation]]) -> str:
    if order.reason:
        return order.reason
    for each in steps:
        if each.state == "aborted" and not each.value.reason.startswith(NEEDS):
            way = f"{each.value.source} → {each.value.target}"
            return f"{each.key} (move {part_name(each.value)} {way}) was aborted: {each.value.reason}"
    return ""


def _step(stored: Stored[Operation]) -> MoveStep:
    value = stored.value
    return MoveStep(
        operation=stored.key,
        component=part_name(value),
        source=value.source,
        target=value.target,
        state=stored.state,
    )


def _go_on(application: str, asked: MoveRequest, steps: Sequence[Stored[Operation]]) -> Iterator[str]:
    """The same words again; `--back` names what is left, because what went back has a way forth now."""
    if not asked.back:
        yield command_of(application, asked)
        return
    for each in steps:
        if each.state != "done":
            yield f"hanse move {application}/{part_name(each.value)} --back"


def _go_back(
    application: str, asked: MoveRequest, steps: Sequence[Stored[Operation]], parts: dict[str, Part]
) -> Iterator[str]:
    """One command where it goes back with exactly what was moved; else each part, the last one first."""
    moved = [each.value for each in reversed(steps) if each.state == "done"]
    back = {part.name for part in parts.values() if part.way_back_site is not None}
    returning = {part_name(each) for each in moved if parts[part_name(each)].way_back_site == each.source}
    if returning and returning == back and asked.component is None:
        yield f"hanse move {application} --back"
        return
    for each in moved:
        if part_name(each) in returning:
            yield f"hanse move {application}/{part_name(each)} --back"

"""What the hub says is obeyed once, in order of age, and only if it is really the hub's."""

from typing import Any

from agent_orders import BUCKET, STORE, bucket, grant
from agent_world import HUB, World, jws, play

from hanse.model.replica.instruction import Generation, Instruction
from hanse.model.shape import canonical_bytes

SUBJECT = "replica/shop/store/0/live"


def instruction(world: World, key: str = HUB, **more: Any) -> str:
    fields = {
        "site": "a/1",
        "serial": 1,
        "subject": SUBJECT,
        "generation": Generation(number=1),
        "issued_at": world.clock.now(),
        "order": bucket("primary", 1),
    }
    made = Instruction.model_validate({**fields, **more})
    return jws(canonical_bytes(made), "hanse-instruction", key)


def test_an_older_generation_is_declined_and_the_newer_order_stays_in_force() -> None:
    async def scenario(world: World) -> None:
        world.add("a/1")
        agent = world.start("a/1")
        world.order("a/1", bucket("primary", 1), generation=9)
        await world.ready("a/1", SUBJECT, "primary")
        agent.inbox.take([instruction(world, serial=50, order=bucket("absent", 1))])
        await world.until(lambda: any(seen.state.observed == "declined" for seen in world.history))
        declined = next(seen for seen in world.history if seen.state.observed == "declined")
        assert declined.failure.code == "generation-too-old"
        assert world.machines["a/1"].parts[str(STORE)].role == "primary"

    play(scenario)


def test_the_same_instruction_again_is_no_news() -> None:
    async def scenario(world: World) -> None:
        world.add("a/1")
        agent = world.start("a/1")
        document = instruction(world)
        await world.until(lambda: world.said("a/1", "statement"))
        agent.inbox.take([document])
        agent.inbox.take([document])
        await world.ready("a/1", SUBJECT, "primary")
        assert not [seen for seen in world.history if seen.state.observed == "declined"]

    play(scenario)


def test_what_another_key_signed_is_not_obeyed() -> None:
    async def scenario(world: World) -> None:
        world.add("a/1")
        agent = world.start("a/1")
        assert agent.inbox.take([instruction(world, key="thief")]) == 0
        assert agent.inbox.newest(SUBJECT) is None
        assert agent.inbox.since == 0

    play(scenario)


def test_an_order_for_another_site_is_declined() -> None:
    async def scenario(world: World) -> None:
        world.add("a/1")
        agent = world.start("a/1")
        agent.inbox.take([instruction(world, site="b/1")])
        seen = await world.until(lambda: world.observed.get(("a/1", SUBJECT)))
        assert (seen.state.observed, seen.failure.code) == ("declined", "wrong-site")

    play(scenario)


def test_an_order_that_a_newer_hub_invented_is_declined_and_the_next_one_obeyed() -> None:
    async def scenario(world: World) -> None:
        world.add("a/1")
        agent = world.start("a/1")
        text = canonical_bytes(
            Instruction.model_validate(
                {
                    "site": "a/1",
                    "serial": 7,
                    "subject": SUBJECT,
                    "generation": {"number": 7},
                    "issued_at": world.clock.now(),
                    "order": bucket("primary", 1),
                }
            )
        ).replace(b'"order":"replica"', b'"order":"teleport"')
        agent.inbox.take([jws(text, "hanse-instruction", HUB)])
        seen = await world.until(lambda: world.observed.get(("a/1", SUBJECT)))
        assert (seen.state.observed, seen.failure.code) == ("declined", "malformed-instruction")
        assert agent.inbox.since == 7

    play(scenario)


def test_a_subject_that_does_not_name_its_order_is_declined() -> None:
    async def scenario(world: World) -> None:
        world.add("a/1")
        agent = world.start("a/1")
        agent.inbox.take([instruction(world, subject="replica/other/store/0/live")])
        seen = await world.until(lambda: world.observed.get(("a/1", "replica/other/store/0/live")))
        assert seen.failure.code == "malformed-instruction"

    play(scenario)


def test_orders_are_kept_as_received_and_obeyed_after_a_restart_without_the_hub() -> None:
    async def scenario(world: World) -> None:
        world.add("a/1")
        agent = world.start("a/1")
        world.order("a/1", bucket("primary", 1, grants=(grant(world, "web@a/1"),)))
        await world.ready("a/1", SUBJECT, "primary")
        document = agent.inbox.document(SUBJECT)
        await world.kill("a/1")
        world.hub_is_up = False
        world.machines["a/1"].kill(str(STORE))
        again = world.start("a/1")
        await world.until(lambda: world.machines["a/1"].parts[str(STORE)].alive)
        assert again.inbox.document(SUBJECT) == document
        assert again.inbox.newest(SUBJECT).order.spec == BUCKET

    play(scenario)

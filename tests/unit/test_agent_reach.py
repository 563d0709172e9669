"""Reach is measured, again and again, and said in words where there is none."""

from agent_world import World, play

from hanse.model.replica.order import ReachOrder


async def begin(world: World, *up: str) -> None:
    for site in ("a/1", "b/1", "c/1"):
        world.add(site)
    for site in ("a/1", *up):
        world.start(site)
    for site in ("b/1", "c/1"):
        world.order(site, ReachOrder(peers=(world.peer("a/1"),)))
    world.order("a/1", ReachOrder(peers=(world.peer("b/1"), world.peer("c/1"))))


def test_peers_that_answer_have_a_round_trip_and_the_others_a_reason() -> None:
    async def scenario(world: World) -> None:
        await begin(world, "b/1")
        state = await world.until(lambda: world.said("a/1", "reach"))
        assert 9 < state.rtt_ms["b/1"] < 100
        assert "c/1 does not answer" in state.unreachable["c/1"]

    play(scenario)


def test_a_peer_that_comes_back_is_reached_soon() -> None:
    async def scenario(world: World) -> None:
        await begin(world, "b/1")
        await world.until(lambda: world.said("a/1", "reach"))
        world.start("c/1")
        await world.until(lambda: "c/1" in world.said("a/1", "reach").rtt_ms, 20)

    play(scenario)


def test_a_peer_whose_agent_restarts_for_a_moment_stays_reached() -> None:
    async def scenario(world: World) -> None:
        await begin(world, "b/1", "c/1")
        await world.until(
            lambda: len(world.said("a/1", "reach").rtt_ms) == 2 if world.said("a/1", "reach") else 0
        )
        await world.kill("c/1")
        world.order("a/1", ReachOrder(peers=(world.peer("b/1"), world.peer("c/1"))))
        await world.until(lambda: world.clock.monotonic() > 8)
        world.start("c/1")
        await world.until(lambda: "c/1" in world.said("a/1", "reach").rtt_ms, 20)

    play(scenario)


def test_a_stranger_gets_no_answer() -> None:
    async def scenario(world: World) -> None:
        await begin(world, "b/1")
        await world.until(lambda: world.said("a/1", "reach"))
        reply = await world.agents["a/1"].answer("key-of-x/1", {"ask": "ping"})
        assert (reply["ok"], reply["code"]) == (False, "peer-unknown")

    play(scenario)

"""An application's own network: it exists beforehand, leads nowhere else, and goes with the last user."""

import asyncio
import subprocess
import sys

import pytest

from hanse.model.replica.role import ReplicaKey
from hanse.ports import Permanent

pytestmark = pytest.mark.real
CONNECT = """
import socket, sys
for device in (b"", b"eth0"):  # bound to its device, a socket needs no route
    with socket.socket() as client:
        client.settimeout(1.5)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
        if client.connect_ex((sys.argv[1], int(sys.argv[2]))) == 0:
            sys.exit(0)
sys.exit(1)
"""


async def reaches(bench, key, address, port):
    """Whether something in the container's network can connect there."""
    pid = (await bench.kind.inspect(bench.driver, key)).pid
    command = ("nsenter", f"--net=/proc/{pid}/ns/net", sys.executable, "-c", CONNECT, address, str(port))
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    return await process.wait() == 0


async def listen(address):
    server = await asyncio.start_server(lambda _, writer: writer.close(), address, 0)
    return server, server.sockets[0].getsockname()[1]


def firewall():
    return subprocess.run(["iptables-save"], capture_output=True, check=True).stdout.count(b"\n-A")


async def test_the_gateway_is_there_before_the_first_and_after_the_last_container_ran(containers, key):
    with pytest.raises(Permanent) as caught:
        containers.driver.gateway("shop")
    assert caught.value.code == "network-missing"
    gateway = await containers.driver.prepare_network("shop")
    assert await containers.driver.prepare_network("shop") == gateway == containers.driver.gateway("shop")
    server, port = await listen(gateway)
    await containers.primary(key)
    assert await reaches(containers, key, gateway, port)
    await containers.driver.fence(key)
    server.close()
    (await listen(gateway))[0].close()


async def test_components_of_one_application_do_not_reach_each_other(containers, key, other_key):
    first, second = await containers.primary(key), await containers.primary(other_key)
    assert await containers.answers(key, first)
    assert await containers.answers(other_key, second)
    assert not await reaches(containers, key, *second.clients)
    assert not await reaches(containers, other_key, *first.clients)


async def test_applications_do_not_reach_each_other_nor_their_gateways(containers, key):
    stranger = ReplicaKey(application="bank", component="part")
    first, second = await containers.primary(key), await containers.primary(stranger)
    server, port = await listen(containers.driver.gateway("bank"))
    assert not await reaches(containers, key, *second.clients)
    assert not await reaches(containers, key, containers.driver.gateway("bank"), port)
    assert await reaches(containers, stranger, containers.driver.gateway("bank"), port)
    assert first.clients[0] != second.clients[0]
    server.close()


async def test_a_container_has_no_way_out(containers, key):
    await containers.primary(key)
    pid = (await containers.kind.inspect(containers.driver, key)).pid
    command = ("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "route")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    routes, _ = await process.communicate()
    assert len(routes.splitlines()) == 1
    assert b"default" not in routes
    assert not await reaches(containers, key, "127.0.0.1", 22)


async def test_two_sites_of_one_machine_do_not_clash(containers, second_site, key):
    first, second = await containers.primary(key), await second_site.primary(key)
    assert first.clients != second.clients
    assert containers.driver.gateway("shop") != second_site.driver.gateway("shop")
    await containers.driver.erase(key)
    assert await second_site.answers(key, second)


async def test_two_sites_that_choose_at_once_get_different_subnets(containers, second_site):
    for bench in (containers, second_site):
        bench.driver._network._subnets = bench.driver._network._subnets[:2]
    gateways = await asyncio.gather(
        containers.driver.prepare_network("shop"), second_site.driver.prepare_network("shop")
    )
    assert len(set(gateways)) == 2


async def test_a_pool_that_is_used_up_is_told(containers):
    containers.driver._network._subnets = containers.driver._network._subnets[:1]
    await containers.driver.prepare_network("shop")
    with pytest.raises(Permanent) as caught:
        await containers.driver.prepare_network("bank")
    assert caught.value.code == "network-unavailable"
    assert "bank" in caught.value.message


async def test_addresses_stay_the_same_through_every_walk(containers, key, other_key):
    await containers.primary(other_key)
    first = await containers.primary(key)
    await containers.driver.fence(key)
    containers.restart_agent()
    assert await containers.primary(key) == first
    await containers.driver.fence(key)
    await containers.standby(key)
    assert await containers.primary(key) == first


async def test_the_network_goes_with_the_last_user_and_no_firewall_rule_was_made(containers, key, other_key):
    rules = firewall()
    await containers.primary(key)
    await containers.primary(other_key)
    await containers.driver.erase(key)
    assert len(await containers.driver._network.leftovers()) == 1
    await containers.driver.erase(other_key)
    assert await containers.leftovers() == []
    assert firewall() == rules


async def test_a_bridge_that_somebody_removed_comes_back_with_its_cables(containers, key):
    served = await containers.primary(key)
    (bridge,) = await containers.driver._network.leftovers()
    process = await asyncio.create_subprocess_exec("ip", "link", "delete", bridge)
    await process.wait()
    assert not await containers.answers(key, served)
    assert await containers.primary(key) == served
    assert await containers.answers(key, served)


async def test_a_restart_is_heard_at_once_beside_a_neighbour(containers, key, other_key):
    gateway = await containers.driver.prepare_network("shop")
    server, port = await listen(gateway)
    served, neighbour = await containers.primary(key), await containers.primary(other_key)
    for _ in range(3):
        assert await reaches(containers, other_key, gateway, port)
        await containers.driver.fence(key)
        assert await containers.primary(key) == served
        assert await containers.answers(key, served)
        assert await containers.answers(other_key, neighbour)
        assert await reaches(containers, key, gateway, port)
    server.close()

"""What a container may do: its own uids, its limits, its /tmp; and what it must never show."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

from hanse.model.replica.role import ReplicaKey
from hanse.model.replica.spec import Size
from hanse.ports import Permanent

pytestmark = pytest.mark.real
MIB = 2**20
CPU = ("cpu.cfs_quota_us", "cpu.max")
SERVE = "exec httpd -f -p 80 -h /www"
"""A port that opens says that the script before it is done."""


async def said(bench, key, script, **changes):
    """Run a script, then serve; return what it wrote."""
    await bench.run(key, "sh", "-c", f"{script}; {SERVE}", port=80, **changes)
    return await bench.driver.logs(key, 50)


def shows(secret, place, name):
    """Whether a file one level below a place holds these bytes now."""
    texts = []
    for file in place.glob(f"[0-9]*/{name}"):
        with contextlib.suppress(OSError):
            texts.append(file.read_bytes())
    return any(secret.encode() in text for text in texts)


def nobody_finds(secret, directory):
    """Files with these bytes that a stranger on this machine could read."""
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    command = [*nobody, "grep", "-rsl", secret, directory]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


def cgroup_values(pid, names):
    """Limits of a process, from cgroup version 1 or 2."""
    values = {}
    for line in process_file(pid, "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        for name in names:
            file = Path("/sys/fs/cgroup", controllers.removeprefix("name="), path.lstrip("/"), name)
            if file.exists():
                values[name] = file.read_text().split()[0]
    return values


def process_file(pid, name):
    return Path(f"/proc/{pid}/{name}").read_text()


async def status_of(bench, key):
    container = await bench.kind.inspect(bench.driver, key)
    return dict(line.split(":", 1) for line in process_file(container.pid, "status").splitlines())


async def uid_base(bench, key):
    container = await bench.kind.inspect(bench.driver, key)
    inside, outside, count = process_file(container.pid, "uid_map").split()
    assert (inside, count) == ("0", "65536")
    return int(outside)


async def test_a_program_has_no_capability_and_can_gain_none(containers, key):
    await containers.run(key, "sleep", "1000")
    status = await status_of(containers, key)
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"


async def test_its_root_is_read_only_and_its_tmp_is_its_own(containers, key):
    text = await said(containers, key, "touch /www/x; touch /tmp/y && echo written; echo $HOME; id")
    assert "Read-only file system" in text
    assert "written\n/tmp\nuid=0 gid=0" in text


async def test_each_component_and_each_site_has_its_own_uids(containers, second_site, key, other_key):
    await containers.run(key, "sleep", "1000")
    await containers.run(other_key, "sleep", "1000")
    await second_site.run(key, "sleep", "1000")
    bases = [
        await uid_base(*which) for which in ((containers, key), (containers, other_key), (second_site, key))
    ]
    assert len(set(bases)) == 3
    assert min(bases) > 2**30
    containers.restart_agent()
    await containers.driver.fence(key)
    await containers.run(key, "sleep", "1000")
    assert await uid_base(containers, key) == bases[0]


async def test_limits_stand_in_the_cgroup(containers, key):
    await containers.run(key, "sleep", "1000")
    pid = (await containers.kind.inspect(containers.driver, key)).pid
    found = cgroup_values(pid, ("memory.limit_in_bytes", "memory.max", "pids.max", *CPU))
    assert str(64 * MIB) in (found.get("memory.limit_in_bytes"), found.get("memory.max"))
    assert found["pids.max"] == "1024"
    assert "50000" in [found.get(name) for name in CPU]


async def test_a_program_that_takes_too_much_memory_is_ended_in_words(containers, key):
    with pytest.raises(Permanent) as caught:
        await containers.run(
            key, "sh", "-c", "x=$(head -c 200000000 /dev/zero | tr '\\0' a); echo $x", port=80
        )
    assert caught.value.code == "container-does-not-start"
    assert "64 MiB of memory" in caught.value.message or "exit code 137" in caught.value.message


async def test_a_dying_program_leaves_its_last_words(containers, key):
    with pytest.raises(Permanent) as caught:
        await containers.run(key, "sh", "-c", "for i in $(seq 30); do echo line $i; done; exit 7", port=80)
    assert caught.value.code == "container-does-not-start"
    assert "exit code 7" in caught.value.message
    assert len(caught.value.detail.splitlines()) <= 20
    assert caught.value.detail in caught.value.message


async def test_a_program_that_is_not_in_the_image_is_named(containers, key):
    with pytest.raises(Permanent) as caught:
        await containers.run(key, "no-such-program", port=80)
    assert caught.value.code == "container-does-not-start"
    assert "no-such-program cannot be run in this image: No such file" in caught.value.message


async def test_a_program_that_listens_on_no_port_is_told(containers, key):
    containers.driver._start_seconds = 2.5
    with pytest.raises(Permanent) as caught:
        await containers.run(key, "sleep", "1000", port=8080)
    assert "nothing listens on its port 8080" in caught.value.message
    assert not (await containers.driver.look(key)).alive


async def test_over_its_disk_a_container_is_stopped_until_it_gets_more(containers, key):
    await containers.run(key, "sh", "-c", f"dd if=/dev/zero of=/tmp/big bs=1M count=24; {SERVE}", port=80)
    held = await containers.driver.look(key)
    assert (held.alive, "MiB" in held.detail) == (False, True)
    for _ in range(2):
        with pytest.raises(Permanent) as caught:
            await containers.run(
                key, "sh", "-c", f"dd if=/dev/zero of=/tmp/big bs=1M count=24; {SERVE}", port=80
            )
        assert caught.value.code == "over-quota"
    assert not (await containers.kind.inspect(containers.driver, key)).running
    await containers.run(key, "sleep", "1000", size=Size(memory_bytes=64 * MIB, disk_bytes=64 * MIB))
    assert (await containers.driver.look(key)).alive


async def test_a_directory_too_deep_to_walk_is_still_measured_and_erased(containers, key):
    script = "cd /tmp; for i in $(seq 3000); do mkdir d; cd d; done; echo dug"
    assert "dug" in await said(containers, key, script, size=Size(memory_bytes=64 * MIB))
    assert (await containers.driver.look(key)).alive
    assert await containers.driver.erase(key) > 1500 * 4096
    assert await containers.leftovers() == []


async def test_a_log_cannot_fill_the_disk(containers, key):
    script = "yes abcdefghijklmnopqrstuvwxyz | head -c 30000000; echo done"
    await said(containers, key, script, size=Size(memory_bytes=64 * MIB))
    container = await containers.kind.inspect(containers.driver, key)
    assert os.stat(container.log_file).st_size <= 11 * MIB  # noqa: PTH116


async def test_a_secret_reaches_the_program_and_nothing_else(containers, key):
    text = await said(containers, key, "echo got $KEY and $GREETING")
    assert "got *** and hello pictures" in text
    assert not shows("very-secret-value", Path("/proc"), "cmdline")
    assert list((containers.directory / "engine" / "tmp").glob("*.env")) == []
    assert nobody_finds("very-secret-value", containers.directory) == ""


async def test_a_value_of_several_lines_arrives_whole(containers, key):
    text = await said(containers, key, 'echo "$PEM"', env={"PEM": "first\nsecond # = 'x'\n"})
    assert text.splitlines()[:2] == ["first", "second # = 'x'"]


async def test_nothing_of_the_agents_environment_leaks_in(containers, key, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://leak.example:1")
    monkeypatch.setenv("HANSE_TOKEN", "leak")
    assert "leak" not in await said(containers, ReplicaKey(application="shop", component="nosy"), "env")


async def test_a_sites_directory_stays_private_and_works_all_the_same(containers, key):
    parents = (containers.directory.parent, containers.directory)
    containers.directory.mkdir(exist_ok=True)
    for parent in parents:
        parent.chmod(0o700)
    await containers.primary(key)
    await containers.driver.fence(key)
    await containers.primary(key)
    assert [parent.stat().st_mode & 0o777 for parent in parents] == [0o700, 0o700]


async def test_a_site_that_leaves_takes_everything_along(containers, key, other_key):
    await containers.primary(key)
    await containers.standby(other_key)
    await containers.driver.prepare_network("bank")
    for _ in range(2):
        await containers.driver.dispose()
        assert await containers.leftovers() == []


async def test_an_engine_whose_directory_was_removed_is_swept_away(containers, second_site, key):
    await second_site.driver._engine.ask("images")
    subprocess.run(["rm", "-rf", second_site.directory], check=True)  # noqa: ASYNC221
    assert second_site.driver._engine._run_directory.exists()
    await containers.standby(key)
    assert not second_site.driver._engine._run_directory.exists()

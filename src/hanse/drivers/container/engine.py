"""One podman engine for one site: own storage, own run-time state, own configuration.

Several engines live on one machine without knowing each other. What traps there are, and why each
setting is as it is, stands in docs/decisions/ (container engine and network).
"""

import asyncio
import hashlib
import json
import resource
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hanse.drivers.container.output import last_lines
from hanse.drivers.container.process import Finished, remove_tree, run
from hanse.drivers.identity import write_file
from hanse.ports import Permanent, Temporary

RUN_DIRECTORY = Path("/run/hanse")
"""Cleared at boot, as podman's run-time state must be."""

_OPEN_FILES = 65_536
_PROCESSES = 16_384
"""podman lowers its own hard limit to 32,768; the pids cgroup is the one that counts."""
_CONFIGURATION = """\
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
log_driver = "k8s-file"
base_hosts_file = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
lock_type = "file"
[network]
network_backend = "netavark"
"""


@dataclass(frozen=True, slots=True)
class Container:
    """A container as the engine sees it."""

    identity: str
    status: str
    """created, initialized, running, stopping, stopped, exited …"""
    pid: int
    exit_code: int
    out_of_memory: bool
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    log_file: str

    @property
    def running(self) -> bool:
        """Its program runs."""
        return self.status == "running"


class Engine:
    """podman's command line over one directory. Nothing exists before the first call that needs it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        mark = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:12]
        self._run_directory = RUN_DIRECTORY / mark
        self._place = self._run_directory / "engine"
        """Where podman sees `directory`, by a bind mount: a container's own uids must be able to pass every
        parent of its root, and those of a site's directory are private (podman would open them)."""
        self._preparing = asyncio.Lock()

    @property
    def exists(self) -> bool:
        """Whether anything was ever put into it."""
        return (self._directory / "root").exists()

    def secret_file(self, name: str) -> Path:
        """Where a file may stand for a moment that only root reads."""
        return self._directory / "tmp" / name

    def scratch(self, name: str) -> Path:
        """The directory that becomes a container's /tmp."""
        return self._directory / "scratch" / name

    def as_seen(self, path: Path) -> Path:
        """A path below this engine's directory as podman is told of it."""
        return self._place / path.relative_to(self._directory)

    async def ask(
        self, *words: str, timeout_seconds: float = 60.0, environment: Mapping[str, str] | None = None
    ) -> Finished:
        """One podman command, whatever its outcome. Raises Permanent(`disk-full`) on a full disk."""
        await self._prepare()
        finished = await run(
            *self._command(),
            *words,
            timeout_seconds=timeout_seconds,
            directory=self._directory,  # a monitor leaves a file named `oom` where it was started
            environment={
                **(environment or {}),
                "CONTAINERS_CONF": str(self._place / "containers.conf"),
                "TMPDIR": str(self._place / "tmp"),
                "HOME": str(self._place),
            },
        )
        if finished.code and "no space left on device" in finished.complaint.lower():
            raise Permanent(
                "disk-full",
                f"the disk of {self._directory} is full, so podman could not {words[0]};"
                " make room there, or move the component to another site",
            )
        return finished

    async def call(self, *words: str, timeout_seconds: float = 60.0) -> str:
        """A command that must succeed; its output. Raises Temporary(`engine-failed`)."""
        finished = await self.ask(*words, timeout_seconds=timeout_seconds)
        if finished.code:
            raise Temporary("engine-failed", f"podman {words[0]} failed: {finished.last_line}", 2.0)
        return finished.output

    async def inspect(self, name: str) -> Container | None:
        """The container of this name, or None."""
        if not self.exists:
            return None
        finished = await self.ask("container", "inspect", name)
        if finished.code:
            if "no such container" in finished.complaint.lower():
                return None
            raise Temporary("engine-failed", f"podman inspect {name} failed: {finished.last_line}", 2.0)
        return _container(json.loads(finished.output)[0])

    async def remove(self, name: str) -> None:
        """Stop and forget a container; no error if it is not there."""
        container = await self.inspect(name)
        if container is None:
            return
        words = ("rm", "--force", "--time", "10", name)
        if (await self.ask(*words, timeout_seconds=40)).code:
            # An interrupted start can leave mounts that podman no longer knows of.
            await self._unmount(self._place / "root" / "overlay-containers" / container.identity)
            await self.call(*words, timeout_seconds=40)

    async def names(self) -> list[str]:
        """All containers of this engine."""
        return (await self.call("ps", "--all", "--format", "{{.Names}}")).split() if self.exists else []

    async def logs(self, container: Container, lines: int) -> str:
        """The last lines of both of its outputs, in the order in which they ended."""
        if not container.log_file:
            return ""
        return "\n".join(await asyncio.to_thread(last_lines, Path(container.log_file), lines))

    async def dispose(self) -> None:
        """Remove the whole engine: containers, images, mounts, files. No error if there is none."""
        if self.exists:
            await self.ask("rm", "--all", "--force", "--time", "2", timeout_seconds=60)
            await self.ask("rmi", "--all", "--force", timeout_seconds=60)
        await self._unmount(self._directory, self._run_directory)
        await remove_tree(self._directory, self._run_directory)

    async def _unmount(self, *directories: Path) -> None:
        for place in _mounts_below(*directories):
            await run("umount", "--lazy", place)

    def _command(self) -> tuple[str, ...]:
        return (
            "podman",
            "--root", str(self._place / "root"),
            "--runroot", str(self._run_directory / "run"),
            "--tmpdir", str(self._run_directory / "tmp"),
            "--network-config-dir", str(self._place / "networks"),
        )  # fmt: skip

    async def _prepare(self) -> None:
        async with self._preparing:
            if not (self._directory / "containers.conf").exists():
                await self._sweep()
                self._configure()
            self._place.mkdir(parents=True, exist_ok=True)
            for parent in (RUN_DIRECTORY, self._run_directory):
                parent.chmod(0o711)
            if str(self._place) not in _mounts_below(self._run_directory):
                for words in (("--bind", str(self._directory)), ("--make-private",)):
                    mounted = await run("mount", *words, str(self._place))
                    if mounted.code:
                        raise Temporary("engine-failed", f"podman's place: {mounted.last_line}", 2.0)

    async def _sweep(self) -> None:
        """Let go of engines whose site's directory somebody removed."""
        for run_directory in _deserted():
            await self._unmount(run_directory)
            await remove_tree(run_directory)

    def _configure(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._directory.chmod(0o711)
        for name in ("tmp", "scratch"):
            (self._directory / name).mkdir(exist_ok=True)
        (self._directory / "tmp").chmod(0o700)
        text = _CONFIGURATION.format(
            files=_limit(resource.RLIMIT_NOFILE, _OPEN_FILES),
            processes=_limit(resource.RLIMIT_NPROC, _PROCESSES),
        )
        write_file(self._directory / "containers.conf", text.encode())


def _deserted() -> list[Path]:
    """Run-time directories of engines whose storage no longer has a name."""
    found = []
    for place in RUN_DIRECTORY.glob("*/engine"):
        with suppress(FileNotFoundError):  # another site may be sweeping, too
            if place.stat().st_nlink == 0:
                found.append(place.parent)
    return found


def _limit(which: int, wanted: int) -> int:
    """podman's own default exceeds the hard limit of some machines and then fails with EPERM."""
    hard = resource.getrlimit(which)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)


def _container(seen: Mapping[str, Any]) -> Container:
    state, config = seen["State"], seen["Config"]
    return Container(
        identity=seen["Id"],
        status=state["Status"],
        pid=int(state.get("Pid") or 0),
        exit_code=int(state.get("ExitCode") or 0),
        out_of_memory=bool(state.get("OOMKilled")),
        labels=config.get("Labels") or {},
        environment=dict(item.partition("=")[::2] for item in config.get("Env") or ()),
        log_file=(seen["HostConfig"].get("LogConfig") or {}).get("Path", ""),
    )


def _mounts_below(*directories: Path) -> list[str]:
    """Mount points under these directories, deepest first."""
    heads = tuple(f"{directory.resolve()}/" for directory in directories)
    points = []
    with suppress(OSError):
        for line in Path("/proc/self/mounts").read_text().splitlines():
            point = line.split(" ")[1].replace("\\040", " ")
            if point.startswith(heads):
                points.append(point)
    return sorted(points, key=len, reverse=True)

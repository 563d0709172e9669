"""The bench of the drivers' contract: one suite, every kind.

A kind plugs in with one file `kind_NAME.py` in this folder that defines `KIND`, an object with

- `name: str`, `real: bool` (needs real parts and root), `stateless: bool`
- `spec() -> ReplicaSpec` and `environment() -> Mapping[str, str]`: what a healthy replica is made of
- `broken() -> tuple[ReplicaSpec, str] | None`: a spec that `primary` must refuse, and the code of the refusal
- `driver(directory: Path, site: str) -> Driver`: a fresh object over the same directory is an agent restart
- `async end(driver)`: ends and removes all that is left of this driver
- `async answers(driver, key, clients: tuple[str, int]) -> bool`: is a client served there now? Never raises
- `async kill(driver, key)`: the part that serves dies without the driver knowing
- `async leftovers(driver) -> list[str]`: whatever still exists of any replica: processes, files of data,
  containers, bridges, mounts. Empty after the last `erase`

and, unless `stateless`,

- `positions_are_digests: bool`: a position is a digest of the content, and passes count objects; else it is
  a place in a log
- `async write(driver, key, clients, credential, name: str, data: bytes)`: as a client; raises if refused
- `async read(driver, key, clients, credential, name: str) -> bytes`: likewise; raises if it is not there
- `source(driver, key, credential)`: async context manager; the `Source` by which another driver follows
"""

import asyncio
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hanse.model.replica.observation import Progress
from hanse.model.replica.role import ReplicaKey


def _load(path: Path) -> Any:
    name = f"contract_{path.stem}"
    if name not in sys.modules:
        specification = importlib.util.spec_from_file_location(name, path)
        assert specification is not None
        assert specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        sys.modules[name] = module
        specification.loader.exec_module(module)
    return sys.modules[name].KIND


KINDS = [_load(path) for path in sorted(Path(__file__).parent.glob("kind_*.py"))]


class Bench:
    """One kind, one site, one directory; drivers over it come and go."""

    def __init__(self, kind: Any, directory: Path, site: str) -> None:
        self.kind = kind
        self.directory = directory
        self.site = site
        self.driver = kind.driver(directory, site)
        self.progress: list[Progress] = []
        self.artifacts = getattr(kind, "artifacts", None)

    def report(self, progress: Progress) -> None:
        self.progress.append(progress)

    def restart_agent(self) -> None:
        """A new driver object that knows only what is on disk and what runs."""
        self.driver = self.kind.driver(self.directory, self.site)

    async def primary(self, key: ReplicaKey) -> Any:
        return await self.driver.primary(key, self.kind.spec(), self.kind.environment(), self.report)

    async def run(self, key: ReplicaKey, *command: str, **changes: Any) -> Any:
        """Containers: the healthy program with another command, no port, other fields."""
        spec = self.kind.spec().model_copy(update={"command": command, "port": None, **changes})
        return await self.driver.primary(key, spec, self.kind.environment(), self.report)

    async def standby(self, key: ReplicaKey) -> None:
        await self.driver.standby(key, self.kind.spec(), self.report)

    async def reach(self, role: str, key: ReplicaKey) -> Any:
        """Walk from absent to a role by the shortest way; what `primary` returned, if it was called."""
        if role == "absent":
            return None
        if role == "standby":
            return await self.standby(key)
        served = await self.primary(key)
        if role == "fenced":
            await self.driver.fence(key)
        if role == "retained":
            await self.driver.retain(key)
        return served

    async def answers(self, key: ReplicaKey, served: Any) -> bool:
        return await self.kind.answers(self.driver, key, served.clients)

    async def leftovers(self) -> list[str]:
        return await self.kind.leftovers(self.driver)


def _marked(kinds: list[Any]) -> list[Any]:
    return [pytest.param(kind, id=kind.name, marks=[pytest.mark.real] if kind.real else []) for kind in kinds]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`kind`: every kind; `stateful_kind`: those with data to follow."""
    if "kind" in metafunc.fixturenames:
        metafunc.parametrize("kind", _marked(KINDS))
    if "stateful_kind" in metafunc.fixturenames:
        metafunc.parametrize("stateful_kind", _marked([kind for kind in KINDS if not kind.stateless]))


@pytest.fixture
def key() -> ReplicaKey:
    return ReplicaKey(application="shop", component="part")


@pytest.fixture
def other_key() -> ReplicaKey:
    return ReplicaKey(application="shop", component="part", ordinal=1)


@pytest_asyncio.fixture
async def bench(kind, tmp_path):
    made = Bench(kind, tmp_path / "site", "fiction/one")
    yield made
    await asyncio.wait_for(kind.end(made.driver), 60)


@pytest_asyncio.fixture
async def source_bench(stateful_kind, tmp_path):
    made = Bench(stateful_kind, tmp_path / "source", "fiction/one")
    yield made
    await asyncio.wait_for(stateful_kind.end(made.driver), 60)


@pytest_asyncio.fixture
async def target_bench(stateful_kind, tmp_path):
    made = Bench(stateful_kind, tmp_path / "target", "fable/two")
    yield made
    await asyncio.wait_for(stateful_kind.end(made.driver), 60)


@pytest_asyncio.fixture
async def containers(tmp_path):
    """The container driver alone, for what only containers promise."""
    kind = next(kind for kind in KINDS if kind.name == "container")
    made = Bench(kind, tmp_path / "site", "fiction/one")
    yield made
    await asyncio.wait_for(kind.end(made.driver), 60)


@pytest_asyncio.fixture
async def second_site(tmp_path):
    """Another site of the same name and applications on this machine."""
    kind = next(kind for kind in KINDS if kind.name == "container")
    made = Bench(kind, tmp_path / "second", "fiction/one")
    yield made
    await asyncio.wait_for(kind.end(made.driver), 60)

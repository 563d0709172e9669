"""Where PostgreSQL is on this machine, and how a program of it is started as a replica's own user."""

import asyncio
import os
import re
import shutil
from pathlib import Path

from hanse.drivers.identity import write_file
from hanse.ports import Permanent

MAJOR = 15
"""Version of new clusters; a follower takes its source's, if it is installed."""
_PLACES = (Path("/usr/lib/postgresql"), Path("/usr/local/lib/postgresql"))
_PRIVATE = 'mount --bind "$1" /tmp && cd /tmp && shift && exec "$@"'
_WRAPPER = "libnss_wrapper.so"


def find_programs(major: int) -> Path | None:
    """Directory of the server's programs of this major version, or None."""
    for place in _PLACES:
        found = place / str(major) / "bin"
        if os.access(found / "postgres", os.X_OK) and os.access(found / "initdb", os.X_OK):
            return found
    return None


def programs(major: int) -> Path:
    """The same. Raises Permanent(`part-missing`)."""
    found = find_programs(major)
    if found is None:
        raise Permanent(
            "part-missing",
            f"PostgreSQL {major} is not installed here. Install it: apt-get install postgresql-{major}",
        )
    return found


def installed() -> list[int]:
    """Major versions on this machine."""
    names = [one.name for place in _PLACES if place.is_dir() for one in place.iterdir()]
    return sorted({int(name) for name in names if name.isdigit() and find_programs(int(name)) is not None})


def find_proxy() -> str | None:
    """Path of haproxy; Debian puts it where a user's PATH may not look."""
    return shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def missing() -> tuple[str, ...]:
    """What this machine lacks, each with the command that adds it."""
    lacks = []
    if find_programs(MAJOR) is None:
        lacks.append(f"PostgreSQL {MAJOR}: apt-get install postgresql-{MAJOR}")
    if find_proxy() is None:
        lacks.append("haproxy: apt-get install haproxy")
    if os.geteuid() == 0 and not _wrapper_there():
        lacks.append("nss_wrapper: apt-get install libnss-wrapper")
    return tuple(lacks)


def as_user(uid: int, work: Path) -> list[str]:
    """Own user, no rights, and `work` as its /tmp: nothing on the way there needs to be open to it."""
    if os.geteuid() != 0:
        return []
    limits = ["--clear-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]
    private = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", _PRIVATE, "sh", str(work)]
    return [*private, "setpriv", f"--reuid={uid}", f"--regid={uid}", *limits, "--"]


def seen(work: Path) -> str:
    """How the replica's own processes name its work directory."""
    return "/tmp" if os.geteuid() == 0 else str(work)  # noqa: S108 - the replica's own, see as_user


def environment(uid: int, work: Path, *, named: bool = False) -> dict[str, str]:
    """For the replica's processes. `named`: with an account in sight, which initdb insists on."""
    plain = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": seen(work), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    if not named or os.geteuid() != 0:
        return plain
    accounts = {"passwd": f"hanse:x:{uid}:{uid}::/tmp:/bin/false\n", "group": f"hanse:x:{uid}:\n"}
    for name, text in accounts.items():
        write_file(work / name, text.encode())
        os.chown(work / name, uid, uid)
    wrapped = {"NSS_WRAPPER_PASSWD": "/tmp/passwd", "NSS_WRAPPER_GROUP": "/tmp/group"}  # noqa: S108
    return {**plain, **wrapped, "LD_PRELOAD": _WRAPPER}


async def run(command: list[str], work: Path, env: dict[str, str]) -> tuple[int, str]:
    """Run to its end; exit code and everything it said. A cancelled call ends it."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=work,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, said.decode(errors="replace")


def machine_of(version: str) -> str:
    """The processor that PostgreSQL's `version()` names: `x86_64`."""
    found = re.search(r" on (\w+)-", version)
    return found.group(1) if found else ""


def _wrapper_there() -> bool:
    places = (Path("/usr/lib"), Path("/lib"), Path("/usr/local/lib"))
    return any((place / _WRAPPER).exists() or any(place.glob(f"*/{_WRAPPER}")) for place in places)

"""What this machine can do for containers, what is missing, and what nobody enforces here."""

import os
import shutil
from pathlib import Path

from hanse.drivers.container.process import program_path
from hanse.drivers.contract import Capability

_PROGRAMS = {
    "podman": "podman",
    "runc": "runc",
    "conmon": "conmon",
    "ip": "iproute2",
    "nsenter": "util-linux",
}
_HELPERS = {"netavark": "netavark", "catatonit": "catatonit"}
_HELPER_DIRECTORIES = (
    "/usr/local/libexec/podman",
    "/usr/local/lib/podman",
    "/usr/libexec/podman",
    "/usr/lib/podman",
)
_DISK = (
    "disk: a container's /tmp and log are measured when it is looked at, and it is stopped when over;"
    " nothing prevents a burst in between"
)
_GATEWAY = (
    "gateway: a service of this machine that listens on every address (0.0.0.0) can be reached by containers"
)
_CGROUPS = Path("/sys/fs/cgroup")


def probe_machine() -> Capability:
    """Look only; nothing is started or changed."""
    missing = []
    if os.geteuid() != 0:
        missing.append("root: run the agent as root (sudo hanse site run)")
    wanted = sorted(set(_missing_packages()))
    if wanted:
        missing.append(f"{', '.join(wanted)}: apt-get install --no-install-recommends -y {' '.join(wanted)}")
    if not _has_overlay():
        missing.append("overlay file system: modprobe overlay")
    missing += [f"cgroup {name}: mount the {name} controller" for name in _missing_controllers()]
    return Capability("container", not missing, tuple(missing), tuple(_not_enforced()))


def _missing_packages() -> list[str]:
    path = program_path()
    lacking = [package for program, package in _PROGRAMS.items() if shutil.which(program, path=path) is None]
    for helper, package in _HELPERS.items():
        places = [Path(directory, helper) for directory in _HELPER_DIRECTORIES]
        if shutil.which(helper, path=path) is None and not any(place.exists() for place in places):
            lacking.append(package)
    return lacking


def _has_overlay() -> bool:
    listed = Path("/proc/filesystems").read_text().split()
    return "overlay" in listed or any(Path("/lib/modules", os.uname().release).rglob("overlay.ko*"))


def _missing_controllers() -> list[str]:
    unified = _CGROUPS / "cgroup.controllers"
    present = set(unified.read_text().split()) if unified.exists() else set(_version_one())
    return [name for name in ("cpu", "memory", "pids") if name not in present]


def _version_one() -> list[str]:
    return [name for name in ("cpu", "memory", "pids") if (_CGROUPS / name / "cgroup.procs").exists()]


def _not_enforced() -> list[str]:
    limits = [_DISK, _GATEWAY, "encryption: images and scratch files are not encrypted at rest"]
    version_one = not (_CGROUPS / "cgroup.controllers").exists()
    if version_one and not (_CGROUPS / "memory" / "memory.memsw.limit_in_bytes").exists():
        limits.append("swap: this kernel counts no swap per container, so memory limits hold without it only")
    return limits

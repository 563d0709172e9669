"""A component's program: its environment with every `${component.field}` put in, and how it is confined."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hanse.drivers.container.records import UID_RANGE
from hanse.model.replica.spec import ContainerSpec
from hanse.ports import Permanent

SPEC_LABEL = "hanse.spec"
KEY_LABEL = "hanse.key"

_REFERENCE = re.compile(r"\$\{([a-z0-9-]+\.[a-z_]+)\}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_FIELDS = ("secret_key", "password")
_SECRET_CHARACTERS = 6
"""Shorter values are left in logs: blacking them out would hit ordinary words."""
_PIDS = 1024
_LOG_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Program:
    """What runs, with everything resolved."""

    component: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    secret_names: tuple[str, ...]
    """Variables that hold a secret; never logged."""
    spec: ContainerSpec

    def digest(self, confinement: "Confinement") -> str:
        """Equal for what may go on running as it is."""
        where = [confinement.address, confinement.gateway, confinement.uid_base]
        size = self.spec.size.model_dump()
        what = [self.image, self.command, sorted(self.environment.items()), size, where]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Confinement:
    """Where a replica's container belongs."""

    name: str
    key: str
    uid_base: int
    scratch: Path
    address: str
    gateway: str


def resolve(component: str, spec: ContainerSpec, environment: Mapping[str, str], image: str) -> Program:
    """Put values in for references.

    Raises Permanent: `reference-unresolved` for a value that was not given, `secret-in-command` for a
    secret outside the environment, `environment-not-usable` for a name that is no variable.
    """
    _refuse_odd_names(component, spec)
    for argument in spec.command:
        secret = next((r for r in _REFERENCE.findall(argument) if r.endswith(_SECRET_FIELDS)), None)
        if secret is not None:
            raise Permanent(
                "secret-in-command",
                f"component {component}: command holds ${{{secret}}}, which everybody on the machine"
                " could read; pass it by `env` instead",
            )
    return Program(
        component=component,
        image=image,
        command=tuple(_put_in(component, text, environment) for text in spec.command),
        environment={name: _put_in(component, text, environment) for name, text in spec.env.items()},
        secret_names=tuple(
            sorted(
                name
                for name, text in spec.env.items()
                if any(reference.endswith(_SECRET_FIELDS) for reference in _REFERENCE.findall(text))
            )
        ),
        spec=spec,
    )


def create_words(program: Program, confinement: Confinement, environment_file: Path) -> tuple[str, ...]:
    """Arguments of `podman create`. No value of the environment is among them."""
    size = program.spec.size
    ids = f"0:{confinement.uid_base}:{UID_RANGE}"
    return (
        "create", "--quiet", "--pull=never",
        "--name", confinement.name,
        "--hostname", program.component,
        "--label", f"{KEY_LABEL}={confinement.key}",
        "--label", f"{SPEC_LABEL}={program.digest(confinement)}",
        "--network", "none", "--http-proxy=false", "--init", "--systemd=false", "--restart=no",
        "--stop-timeout", "10",
        "--cap-drop=all", "--security-opt", "no-new-privileges",
        "--uidmap", ids, "--gidmap", ids,
        "--read-only", "--image-volume=tmpfs",
        "--mount", f"type=bind,src={confinement.scratch},dst=/tmp,nosuid,nodev",
        "--sysctl", "net.ipv4.ip_unprivileged_port_start=0",
        "--memory", str(size.memory_bytes), "--memory-swap", str(size.memory_bytes),
        "--cpus", f"{size.cpu_milli / 1000:.3f}",
        "--pids-limit", str(_PIDS),
        "--log-opt", f"max-size={_LOG_BYTES}",
        "--env", "HOME=/tmp", "--env-file", str(environment_file),
        *(word for name in _many_lines(program) for word in ("--env", name)),
        program.image, *program.command,
    )  # fmt: skip


def environment_text(program: Program) -> str:
    """The file for `--env-file`: values of one line."""
    many = set(_many_lines(program))
    return "".join(
        f"{name}={value}\n" for name, value in sorted(program.environment.items()) if name not in many
    )


def environment_beside(program: Program) -> dict[str, str]:
    """Values of several lines, which an env-file cannot hold: podman takes them from its own environment."""
    return {name: program.environment[name] for name in _many_lines(program)}


def blacked_out(text: str, secret_names: Iterable[str], environment: Mapping[str, str]) -> str:
    """A log without the values of these variables."""
    for name in secret_names:
        secret = environment.get(name, "")
        text = text.replace(secret, "***") if len(secret) >= _SECRET_CHARACTERS else text
    return text


def _many_lines(program: Program) -> list[str]:
    return sorted(name for name, value in program.environment.items() if "\n" in value or "\r" in value)


def _refuse_odd_names(component: str, spec: ContainerSpec) -> None:
    for name, value in spec.env.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            raise Permanent(
                "environment-not-usable",
                f"component {component}: env {name!r} is no environment variable;"
                " a name has letters, digits and _ and does not begin with a digit, a value has no NUL",
            )
        if "\n" in value and name in {"PATH", "HOME", "TMPDIR", "CONTAINERS_CONF", "LC_ALL"}:
            raise Permanent("environment-not-usable", f"component {component}: env {name} must be one line")


def _put_in(component: str, text: str, environment: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        reference = match.group(1)
        if reference not in environment:
            raise Permanent(
                "reference-unresolved",
                f"component {component}: ${{{reference}}} has no value; it must name a component in its"
                " `uses` and one of endpoint, bucket, access_key, secret_key, region",
            )
        return environment[reference]

    return _REFERENCE.sub(value, text)

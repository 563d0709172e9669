"""From a component of the application file to what its site's driver needs."""

import hashlib

from hanse.model.application.file import (
    Application,
    BucketComponent,
    ContainerComponent,
    PostgresComponent,
    Use,
    databases_of,
)
from hanse.model.replica.role import ReplicaKey
from hanse.model.replica.spec import (
    GIB,
    BucketSpec,
    Clients,
    ContainerSpec,
    PostgresSpec,
    ReplicaSpec,
    Size,
)

NAME_MAX = 40


def spec_of(application: Application, component: str) -> ReplicaSpec:
    """What to run, or to keep, for a component. Raises KeyError for a name that the file does not have."""
    wanted = application.components[component]
    match wanted:
        case ContainerComponent():
            return ContainerSpec(
                size=_size(wanted.size.vcpu, wanted.size.memory_gib, wanted.size.disk_gib),
                image=wanted.image,
                command=wanted.command,
                env=wanted.env,
                port=wanted.expose.port if wanted.expose else None,
            )
        case BucketComponent():
            size = Size(disk_bytes=round(wanted.size.storage_gib * GIB))
            return BucketSpec(size=size, bucket=bucket_name(application.name, component))
        case PostgresComponent():
            return PostgresSpec(
                size=_size(wanted.size.vcpu, wanted.size.memory_gib, wanted.size.storage_gib),
                databases=databases_of(component, wanted),
                extensions=wanted.extensions,
            )


def _size(vcpu: float, memory_gib: float, disk_gib: float) -> Size:
    return Size(
        cpu_milli=round(vcpu * 1000),
        memory_bytes=round(memory_gib * GIB),
        disk_bytes=round(disk_gib * GIB),
    )


def bucket_name(application: str, component: str) -> str:
    """`application-component`, shortened with a digest where that is too long for a name."""
    name = f"{application}-{component}"
    if len(name) <= NAME_MAX:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: NAME_MAX - 9].rstrip('-')}-{digest}"


def key_of(application: str, component: str) -> ReplicaKey:
    """The one live replica chain of a component."""
    return ReplicaKey(application=application, component=component)


def used_by(application: Application, component: str) -> tuple[str, ...]:
    """Components that this one uses, by name."""
    return tuple(sorted(use.component for use in _uses(application, component)))


def clients_of(application: Application, consumer: str, used: str) -> Clients:
    """How `consumer` uses `used`, which means something for databases only."""
    found = [use.clients for use in _uses(application, consumer) if use.component == used]
    return next((clients for clients in found if clients is not None), "transaction-safe")


def keeps_sessions(application: Application, component: str) -> bool:
    """True for a program that keeps state in its connections to a database."""
    return any(use.clients == "session" for use in _uses(application, component))


def _uses(application: Application, component: str) -> tuple[Use, ...]:
    wanted = application.components[component]
    return wanted.uses if isinstance(wanted, ContainerComponent) else ()


def consumers_of(application: Application, component: str) -> tuple[str, ...]:
    """Components that use this one, by name."""
    return tuple(sorted(name for name in application.components if component in used_by(application, name)))

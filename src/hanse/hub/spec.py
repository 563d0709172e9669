"""From a component of the application file to what its site's driver needs."""

import hashlib

from hanse.model.application.file import Application, BucketComponent, ContainerComponent
from hanse.model.replica.role import ReplicaKey
from hanse.model.replica.spec import GIB, BucketSpec, ContainerSpec, ReplicaSpec, Size

NAME_MAX = 40


def spec_of(application: Application, component: str) -> ReplicaSpec:
    """What to run, or to keep, for a component. Raises KeyError for a name that the file does not have."""
    wanted = application.components[component]
    match wanted:
        case ContainerComponent():
            return ContainerSpec(
                size=Size(
                    cpu_milli=round(wanted.size.vcpu * 1000),
                    memory_bytes=round(wanted.size.memory_gib * GIB),
                    disk_bytes=round(wanted.size.disk_gib * GIB),
                ),
                image=wanted.image,
                command=wanted.command,
                env=wanted.env,
                port=wanted.expose.port if wanted.expose else None,
            )
        case BucketComponent():
            size = Size(disk_bytes=round(wanted.size.storage_gib * GIB))
            return BucketSpec(size=size, bucket=bucket_name(application.name, component))


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
    wanted = application.components[component]
    return (
        tuple(sorted(use.component for use in wanted.uses)) if isinstance(wanted, ContainerComponent) else ()
    )


def consumers_of(application: Application, component: str) -> tuple[str, ...]:
    """Components that use this one, by name."""
    return tuple(sorted(name for name in application.components if component in used_by(application, name)))

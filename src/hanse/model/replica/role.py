"""The five roles that a replica can have (DESIGN section 5) and who holds them."""

from enum import StrEnum

from hanse.model.shape import Name, Shape


class ReplicaRole(StrEnum):
    """What a replica of a component is at one site."""

    PRIMARY = "primary"
    STANDBY = "standby"
    FENCED = "fenced"
    RETAINED = "retained"
    ABSENT = "absent"


class ReplicaKey(Shape):
    """Whose replica: roles belong to (application, component, ordinal, realm)."""

    application: Name
    component: Name
    ordinal: int = 0
    realm: Name = "live"

    def __str__(self) -> str:
        """`application/component/ordinal/realm`, the subject of instructions and file names."""
        return f"{self.application}/{self.component}/{self.ordinal}/{self.realm}"

    @classmethod
    def parse(cls, text: str) -> "ReplicaKey":
        """The inverse of `str`. Raises ValueError on anything else."""
        application, component, ordinal, realm = text.split("/")
        return cls(application=application, component=component, ordinal=int(ordinal), realm=realm)

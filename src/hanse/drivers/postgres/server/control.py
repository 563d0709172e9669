"""What a cluster's control file says, and positions in its log."""

import re
from dataclasses import dataclass
from pathlib import Path

from hanse.drivers.postgres.server import program
from hanse.ports import Permanent, Temporary

_POSITION = re.compile(r"(\d{1,20}):(\d{1,10}):([0-9A-F]{1,8}/[0-9A-F]{1,8})")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the log of a cluster: system identifier, timeline, byte."""

    system: int
    timeline: int
    lsn: int

    def __str__(self) -> str:
        """`SYSTEM:TIMELINE:LSN`."""
        return f"{self.system}:{self.timeline}:{lsn_text(self.lsn)}"

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """The inverse of `str`; None for anything else."""
        found = _POSITION.fullmatch(text)
        if found is None:
            return None
        return cls(int(found.group(1)), int(found.group(2)), lsn_of(found.group(3)))


@dataclass(frozen=True, slots=True)
class Control:
    """The control file, as far as it matters here."""

    state: str
    checkpoint: Position
    max_connections: int

    @property
    def is_clean(self) -> bool:
        """Stopped as a primary, with everything on disk up to the final checkpoint."""
        return self.state == "shut down"


def lsn_of(text: str) -> int:
    """The byte that `1/2A` names."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def lsn_text(lsn: int) -> str:
    """`1/2A`."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


async def read_control(data: Path, major: int) -> Control:
    """The control file of a cluster, running or not. Raises Temporary(`control-unreadable`)."""
    command = [str(program.programs(major) / "pg_controldata"), "-D", str(data)]
    code, said = await program.run(command, data, {"PATH": "/usr/bin:/bin", "LC_ALL": "C"})
    fields = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    found = {name.strip(): value.strip() for name, value in fields.items()}
    try:
        return Control(
            state=found["Database cluster state"],
            checkpoint=Position(
                int(found["Database system identifier"]),
                int(found["Latest checkpoint's TimeLineID"]),
                lsn_of(found["Latest checkpoint location"]),
            ),
            max_connections=int(found["max_connections setting"]),
        )
    except (KeyError, ValueError) as error:
        last = said.strip().splitlines()[-1:] or [f"exit code {code}"]
        raise Temporary(
            "control-unreadable", f"The control file of a database cannot be read: {last[0]}.", 5.0
        ) from error


def differs(why: str, component: str, position: str) -> Permanent:
    """The failure `content-differs` of a copy that is not what its source gave away."""
    return Permanent(
        "content-differs",
        f"The copy of database {component} is not what its source gave away: {why}. "
        "The source keeps serving; try the move again.",
        f"expected position {position}",
    )

"""A machine's and a server's own troubles, as the two words that a driver may say."""

import errno
import functools
import subprocess
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from hanse.ports import Permanent, Temporary

P = ParamSpec("P")
R = TypeVar("R")


def in_words(method: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Turn what the operating system refuses into Permanent(`disk-full`) or Temporary(`machine-refuses`)."""

    @functools.wraps(method)
    async def said(*arguments: P.args, **named: P.kwargs) -> R:
        try:
            return await method(*arguments, **named)
        except (OSError, subprocess.SubprocessError) as error:
            if is_full(error):
                raise disk_full("the disk of this site is full") from error
            raise Temporary(
                "machine-refuses",
                f"This site's machine refuses a step with a database: {error}. Trying again.",
                5.0,
            ) from error

    return said


def is_full(error: BaseException) -> bool:
    """Whether a disk or its quota has no room left."""
    return getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT}


def disk_full(why: str) -> Permanent:
    """The failure `disk-full`, with what happens next."""
    return Permanent(
        "disk-full",
        f"This site cannot take the database's content: {why}. Its source is untouched. "
        "Free space here or move to another site.",
    )

"""A machine's own troubles, as the two words that a driver may say."""

import errno
import functools
import sqlite3
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
        except (OSError, sqlite3.Error, subprocess.SubprocessError) as error:
            if getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT} or "disk is full" in str(error):
                raise disk_full("the disk of this site is full") from error
            raise Temporary(
                "machine-refuses",
                f"This site's machine refuses a step with a bucket: {error}. Trying again.",
                5.0,
            ) from error

    return said


def disk_full(why: str) -> Permanent:
    """The failure `disk-full`, with what happens next."""
    return Permanent(
        "disk-full",
        f"This site cannot take the bucket's content: {why}. Its source is untouched. "
        "Free space here or move to another site.",
    )


def source_unreachable(site: str, address: tuple[str, int], why: str) -> Temporary:
    """The failure `source-unreachable`, with what happens next."""
    return Temporary(
        "source-unreachable",
        f"Nothing can be read from {site} at {address[0]}:{address[1]}: {why} What was copied stays, and it"
        f" is tried again by itself. If that goes on: does {site} run, and is the way there open?",
        5.0,
    )

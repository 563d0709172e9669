"""Durations as people write them: a whole number and its unit."""

import re
from typing import Final

UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}
DURATION_PATTERN: Final = r"^(0|[1-9][0-9]{0,9}[smhd])$"
DURATION_WORDS: Final = "a whole number with a unit, such as 90m, 24h or 30d"


def duration_seconds(text: str) -> int | None:
    """Seconds of `90s`, `90m`, `24h`, `30d` or `0`; None for anything else."""
    if re.fullmatch(DURATION_PATTERN, text) is None or not text.isascii():
        return None
    return 0 if text == "0" else int(text[:-1]) * UNIT_SECONDS[text[-1]]


def duration_words(seconds: int) -> str:
    """The usual way to write it: 86400 is `24h`, 5400 is `90m`, 2592000 is `30d`."""
    for unit in ("d", "h", "m"):
        whole = seconds and seconds % UNIT_SECONDS[unit] == 0
        if whole and (unit != "d" or seconds > UNIT_SECONDS["d"]):
            return f"{seconds // UNIT_SECONDS[unit]}{unit}"
    return f"{seconds}s" if seconds else "0"

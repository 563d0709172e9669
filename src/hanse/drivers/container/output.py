"""What a program wrote, from its monitor's `k8s-file`: lines of time, stream, P or F, text."""

from collections import defaultdict
from pathlib import Path

_SEEN = 1024 * 1024
_WORDS = 4


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of both outputs, in the order in which they ended; of a long file only its last MiB."""
    try:
        with path.open("rb") as file:
            begin = max(0, path.stat().st_size - _SEEN)
            file.seek(begin)
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return joined(text.partition("\n")[2] if begin else text)[-count:] if count > 0 else []


def joined(text: str) -> list[str]:
    """Whole lines: one that was written in pieces stands there as pieces, all but the last marked P.

    podman's own `logs --tail` shows only the last of them.
    """
    begun: defaultdict[str, str] = defaultdict(str)
    lines = []
    for line in text.splitlines():
        words = line.split(" ", _WORDS - 1)
        if len(words) < _WORDS - 1 or words[2] not in {"P", "F"}:
            continue  # cut off in the middle: the machine stopped, or the monitor still writes
        begun[words[1]] += words[3] if len(words) == _WORDS else ""
        if words[2] == "F":
            lines.append(begun.pop(words[1]))
    return [*lines, *begun.values()]

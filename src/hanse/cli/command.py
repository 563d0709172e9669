"""Finds the room of a command by its first word; says what went wrong in one line."""

import importlib
import sys
from collections.abc import Sequence

from hanse.ports import Permanent, Temporary

ROOMS = {
    "explain": "plans",
    "plan": "plans",
    "apply": "plans",
    "providers": "market",
    "sites": "market",
    "offers": "market",
    "catalogue": "market",
    "invite": "market",
    "remove-site": "market",
    "image": "images",
    "status": "running",
    "history": "running",
    "logs": "logs",
    "abort": "running",
    "move": "moving",
    "retire": "moving",
    "connect": "connect",
    "psql": "psql",
}
"""First word to module of `verbs`."""
INTERRUPTED = 130


def run(argv: Sequence[str]) -> int:
    """`hanse ARGV`; the exit code: 0, 1 refused, 2 usage, 130 interrupted."""
    words = list(argv)
    room = ROOMS.get(words[0] if words else "")
    if room is None:
        return _unknown(words[0] if words else "")
    import cyclopts

    commands = importlib.import_module(f"hanse.cli.verbs.{room}").commands
    try:
        result = commands(words, exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        print(f"hanse: {' '.join(str(error).split())} See `hanse {words[0]} --help`.", file=sys.stderr)
        return 2
    except (Permanent, Temporary) as failure:
        return _refused(failure)
    return result if isinstance(result, int) else 0


def _refused(failure: Permanent | Temporary) -> int:
    if failure.code != "told":
        print(f"hanse: {' '.join(words_of(failure).split())}", file=sys.stderr)
    return INTERRUPTED if failure.code == "interrupted" else 1


def words_of(failure: Permanent | Temporary) -> str:
    """What a person reads: of the hub's problems the reason and what to do next, without the title."""
    why, following = getattr(failure, "why", ""), getattr(failure, "next", "")
    return f"{why} {following}".strip() if why else failure.message


def _unknown(word: str) -> int:
    from difflib import get_close_matches

    near = get_close_matches(word, [*ROOMS, "hub", "site", "doctor", "demo"], n=1)
    hint = f" Do you mean `hanse {near[0]}`?" if near else ""
    print(f"hanse: there is no command {word!r}.{hint} `hanse --help` lists them all.", file=sys.stderr)
    return 2

"""Finds the room of a command by its first word."""

import importlib
from collections.abc import Sequence

from hanse.cli.refusal import USAGE, misuse, refuse
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
    "hub": "hub",
    "status": "running",
    "history": "running",
    "logs": "logs",
    "abort": "running",
    "move": "moving",
    "retire": "moving",
    "connect": "connect",
    "psql": "psql",
    "import": "database.bring",
    "export": "database.take",
}
"""First word to module of `verbs`."""


def run(argv: Sequence[str]) -> int:
    """`hanse ARGV`; the exit code: 0, 1 refused, 2 usage, 130 interrupted."""
    words = list(argv)
    room = ROOMS.get(words[0] if words else "")
    if room is None:
        return _unknown(words)
    import cyclopts

    from hanse.cli.helping import help_lines, is_group, wants_help

    commands = importlib.import_module(f"hanse.cli.verbs.{room}").commands
    if wants_help(words):
        print("\n".join(help_lines(commands, words)))
        return 0
    if is_group(commands, words):
        print("\n".join(help_lines(commands, words)))
        return USAGE
    try:
        result = commands(words, exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        return misuse(str(error), f"hanse {words[0]} --help", words)
    except (Permanent, Temporary) as failure:
        return refuse(failure, words)
    return result if isinstance(result, int) else 0


def _unknown(words: Sequence[str]) -> int:
    from difflib import get_close_matches

    word = words[0] if words else ""
    near = get_close_matches(word, [*ROOMS, "hub", "site", "doctor", "demo"], n=1)
    hint = f" Do you mean `hanse {near[0]}`?" if near else ""
    return misuse(f"there is no command {word!r}.{hint}", "hanse --help", words)

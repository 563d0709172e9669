"""The `hanse` command: finds the room for the first word, and turns every failure into one line."""

import os
import sys
from collections.abc import Sequence

OK, REFUSED, USAGE = 0, 1, 2

_GROUPS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Applications",
        (
            ("explain FILE", "Every requirement of a file, and where it came from. Needs no hub."),
            ("plan FILE", "Where it would run, what it costs, and why nowhere else. Buys nothing."),
            ("apply FILE", "Plan, ask, buy and run; or change what runs."),
            ("status [APP]", "What should be, what is, and what is under way."),
            ("history APP", "What happened, newest first."),
            ("move APP[/COMPONENT]", "Move to another site or provider, away from one, or back."),
            ("abort OPERATION", "Take back an operation that has not passed its point of no return."),
            ("retire APP", "End an application; its data is kept as its file says, or erased."),
            ("logs APP/COMPONENT", "The last lines that a component wrote; --follow goes on."),
            ("connect APP/COMPONENT", "Reach a bucket or a database from this machine, until Ctrl-C."),
            ("psql APP/DB [-- …]", "Talk to a database with psql."),
            ("import postgres URL", "Copy a foreign database into one of an application."),
            ("export APP/DB", "Write a database to a file that any PostgreSQL can restore."),
        ),
    ),
    (
        "Market",
        (
            ("providers", "Who sells."),
            ("sites", "Where, and which have joined."),
            ("offers", "What, and for how much."),
            ("catalogue import DIR", "Replace the listed market by three CSV files."),
            ("image push|list|remove", "Container images, by digest."),
            ("invite PROVIDER/SITE", "A word that lets one site join, once."),
            ("remove-site PROVIDER/SITE", "End the membership of a dead or lost site."),
        ),
    ),
    (
        "Machines",
        (
            ("hub run|status", "Run a hub; how it is."),
            ("site join|run|stop|leave", "Run one site of a provider."),
            ("doctor", "What this machine can run, and what it cannot enforce."),
            ("demo run|up|down", "Three sites on this machine, and a move while it is used."),
        ),
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `hanse ARGV` (default: this process's words); the exit code. Never a traceback.

    HANSE_TRACEBACK=1 shows tracebacks, for bug reports.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if os.environ.get("HANSE_TRACEBACK"):
        return _dispatch(words)
    try:
        code = _dispatch(words)
        sys.stdout.flush()
    except KeyboardInterrupt as failure:
        return _refuse(failure, words)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED
    except Exception as failure:  # noqa: BLE001 - the last net: a person reads this
        return _refuse(failure, words)
    return code


def _refuse(failure: BaseException, words: Sequence[str]) -> int:
    from hanse.cli.refusal import refuse

    return refuse(failure, words)


def _dispatch(words: list[str]) -> int:
    """Import only the room that the first word names: importing is most of a command's time."""
    match words[:1]:
        case [] | ["--help"] | ["-h"] | ["help"]:
            print(_help())
            return OK if words else USAGE
        case ["--version"]:
            from importlib.metadata import version

            print(version("hanse"))
            return OK
        case ["hub"] if words[1:2] != ["status"]:
            from hanse.app import run
        case ["site"] | ["doctor"]:
            from hanse.site import run
        case ["demo"]:
            from hanse.demo.command import main as demo

            return demo(words[1:])
        case _:
            from hanse.cli.command import run
    return run(words)


def _help() -> str:
    lines = [
        "Usage: hanse COMMAND …",
        "",
        "Many providers, one cloud. HANSE_CONFIG or HANSE_HUB names the hub.",
    ]
    for title, commands in _GROUPS:
        lines += ["", f"{title}:", *(f"  {name:<26}{what}" for name, what in commands)]
    lines += ["", "`hanse COMMAND --help` explains one, with examples; `--json` answers as JSON."]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

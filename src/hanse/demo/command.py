"""`hanse demo`: run the main job, leave it running, or take it down."""

import contextlib
import json as jsonlib
import signal
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

from cyclopts import App, CycloptsError

from hanse.cli.refusal import Mistakes, misuse, refuse
from hanse.demo.network import SceneryError
from hanse.demo.stage import CommandError, Stage
from hanse.demo.story import Story
from hanse.demo.verdict import good, table, verdict_line

app = App(name="hanse demo", help=__doc__, version_flags=[], result_action="return_value")


@app.command
def run(*, json: bool = False) -> int:
    """Plan, run at three sites, move while it is used, retire; end with one JSON line.

    Takes about three minutes and leaves nothing running. Needs root, for containers and networks.

    Example: hanse demo run

    Parameters
    ----------
    json: print the verdict line alone.
    """
    began = time.monotonic()
    say = _silent if json else _say
    _sweep(say)
    with _staged(say) as story:
        story.place()
        story.move()
        verdict = story.end()
        say(table(story.scenes))
    print(verdict_line(time.monotonic() - began, verdict))
    return 0 if good(verdict) else 1


@app.command
def up(*, json: bool = False) -> int:
    """Build the demo's sites with the application on them, and leave it all running.

    Example: hanse demo up

    Parameters
    ----------
    json: print one JSON line with the directory and the configuration file.
    """
    say = _silent if json else _say
    _sweep(say)
    story = Story(Stage.claim(), say)
    try:
        story.set_up()
        story.place()
    except BaseException:
        story.stage.strike()
        raise
    (story.stage.directory / "owner").write_text("kept", encoding="utf-8")
    config = story.stage.environment["HANSE_CONFIG"]
    if json:
        directory = str(story.stage.directory)
        urls = story.urls
        print(jsonlib.dumps({"directory": directory, "config": config, "urls": urls}))
        return 0
    say(f"It runs. Its files: {story.stage.directory}. To command it:\n  export HANSE_CONFIG={config}")
    say(f"  curl {story.urls['images']}/\n  curl {story.urls['records']}/v1/")
    say("  hanse status clinic\n  hanse move clinic/images --to tarasque/arles\nTo end it: hanse demo down")
    return 0


@app.command
def down(*, json: bool = False) -> int:
    """Take down every demo on this machine that no running command owns.

    Example: hanse demo down

    Parameters
    ----------
    json: print one JSON line with the directories that were taken down.
    """
    struck = []
    for stage in Stage.all():
        if stage.abandoned:
            stage.strike()
            struck.append(str(stage.directory))
            if not json:
                _say(f"taken down: {stage.directory}")
    if json:
        print(jsonlib.dumps({"taken_down": struck}))
    return 0


def _silent(_line: str) -> None:
    """For `--json`: the last line says it all."""


def _say(line: str) -> None:
    print(line, flush=True)


def _sweep(say: Callable[[str], None]) -> None:
    """What an interrupted demo left is taken away; one that `up` keeps is not touched."""
    for stage in Stage.all():
        if stage.abandoned and not stage.kept:
            say(f"taking down what an interrupted demo left in {stage.directory}")
            stage.strike()


@contextlib.contextmanager
def _staged(say: Callable[[str], None]) -> Iterator[Story]:
    """A stage that is struck whatever happens, Ctrl-C and a terminate signal too."""
    signal.signal(signal.SIGTERM, _interrupted)
    story = Story(Stage.claim(), say)
    try:
        story.set_up()
        yield story
    finally:
        if story.watch:
            story.watch.finish()
        story.stage.strike()


def _interrupted(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def main(argv: list[str]) -> int:
    """Run one sub-command; a failure is a message and 1, wrong use 2."""
    try:
        return int(app(argv, exit_on_error=False, print_error=False) or 0)
    except CycloptsError as error:
        return misuse(str(error), "hanse demo --help", argv)
    except (SceneryError, CommandError) as error:
        return refuse(Mistakes("demo-failed", [f"hanse demo: {error}"]), argv)

"""`python -m tests.simulation SEED [--calm]` replays a seed; `A-B` plays a range, prints what breaks."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "parts"))

from sim_hub import HubKilled
from sim_world import play


def main(arguments: list[str]) -> int:
    """0 when every seed holds."""
    if not arguments:
        sys.stdout.write(f"{__doc__}\n")
        return 2
    first, _, last = arguments[0].partition("-")
    broken = 0
    for seed in range(int(first), int(last or first) + 1):
        try:
            told = play(seed, faults="--calm" not in arguments)
        except (Exception, HubKilled) as error:
            if not last:
                raise
            broken += 1
            sys.stdout.write(f"seed {seed}: {type(error).__name__}: {error}\n")
        else:
            sys.stdout.write("" if last else f"{told}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""How fast a copy goes, and what that says about its end. Pure: times are given."""

from collections import deque

_WINDOW_SECONDS = 20.0


class Pace:
    """Bytes over the last seconds; a burst at the start, or a pause, is forgotten soon."""

    def __init__(self, now: float) -> None:
        self._seen: deque[tuple[float, int]] = deque([(now, 0)])

    def add(self, now: float, moved: int) -> None:
        """So many bytes were moved since the start."""
        self._seen.append((now, moved))
        while len(self._seen) > 2 and self._seen[1][0] < now - _WINDOW_SECONDS:
            self._seen.popleft()

    def seconds_left(self, left: int) -> float | None:
        """For so many bytes; None while nothing is known."""
        (begin, first), (end, last) = self._seen[0], self._seen[-1]
        if end <= begin or last <= first:
            return None
        return left * (end - begin) / (last - first)

"""This machine's clock and randomness, as the ports ask for them."""

import asyncio
import secrets
import time
from datetime import UTC, datetime


class SystemClock:
    """`ports.Clock` of this machine."""

    def now(self) -> datetime:
        """UTC, timezone-aware."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Let others run for so long."""
        await asyncio.sleep(seconds)


class SystemRandom:
    """`ports.Random` of this machine."""

    def token(self, nbytes: int = 16) -> str:
        """URL-safe text with `nbytes` of entropy."""
        return secrets.token_urlsafe(nbytes)

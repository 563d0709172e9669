"""Why a connection failed, in words that a person can act on. Light: the command line loads it."""

import os
import ssl


def fault_words(error: BaseException) -> str:
    """Half a sentence, such as `connection refused`."""
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({(error.reason or str(error)).replace('_', ' ').lower()})"
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno).lower()
    return str(error) or "it closed the connection"

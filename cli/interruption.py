"""Ctrl-C while the program is still loading: one line instead of a traceback. Imported before anything slow."""

from __future__ import annotations

import os
import signal
from typing import NoReturn

EXIT_CODE = 130
LINE = "interrupted"


def _leave(*_: object) -> NoReturn:
    """Nothing is open yet, so nothing needs closing."""
    os.write(2, f"{LINE}\n".encode())
    os._exit(EXIT_CODE)


def loaded() -> None:
    """From here on an interruption is an exception again, and commands clean up."""
    if _before is not None:
        signal.signal(signal.SIGINT, _before)


try:
    _before = signal.signal(signal.SIGINT, _leave)
except ValueError:  # not in the main thread: there is nothing to catch
    _before = None

"""The exit codes of the command ``adjourn``. The help of the command and the page about it are made of them."""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """How a command ended. A signal that ends a process has the code 128 and its number, as in shells."""

    told: str

    def __new__(cls, code: int, told: str) -> Exit:
        """Make a code with the sentence that explains it."""
        exit_ = int.__new__(cls, code)
        exit_._value_ = code
        exit_.told = told
        return exit_

    DONE = 0, "done"
    FAILED = 1, "failed (stderr says why)"
    REFUSED = 2, "invalid command line or environment"
    INTERRUPTED = 130, "interrupted by Ctrl-C"


def described() -> str:
    """Return a sentence with each code and what it means."""
    return "Exit codes: " + ", ".join(f"{code.value} {code.told}" for code in Exit) + "."

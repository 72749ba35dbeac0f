"""The exit codes of the command ``adjourn``. The help of the command and the page about it are made of them."""

from __future__ import annotations

import enum

from adjourn.exceptions import AdjournException, OutcomesNotStored, WorkerStuck


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
    NOT_STORED = 74, "a worker could not store all outcomes of its jobs before it ended"
    STUCK = 75, "a worker has ended because its jobs did not (--stuck-worker-timeout)"
    INTERRUPTED = 130, "interrupted by Ctrl-C"


def code_of(error: AdjournException) -> Exit:
    """Return the code of a command that has failed."""
    codes = {OutcomesNotStored: Exit.NOT_STORED, WorkerStuck: Exit.STUCK}
    return next((code for kind, code in codes.items() if isinstance(error, kind)), Exit.FAILED)


def described() -> str:
    """Return a sentence with each code and what it means."""
    return "Exit codes: " + ", ".join(f"{code.value} {code.told}" for code in Exit) + "."

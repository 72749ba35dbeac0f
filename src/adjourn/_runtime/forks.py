"""What a forked child has to do to the locks that it inherits.

A lock that another thread of the parent held at the moment of the fork stays locked in the child for ever, for that
thread does not exist there. So whoever owns locks makes new ones in the child.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from typing import Any, Protocol


class OwnsLocks(Protocol):
    """Something that can make its locks anew."""

    def renew_locks(self) -> None:
        """Make the locks anew. Called in a forked child, before anything else runs there."""


_owners: weakref.WeakSet[OwnsLocks] = weakref.WeakSet()
_inherited: list[Any] = []


def watch(owner: OwnsLocks) -> None:
    """Have an owner's locks renewed in each forked child, for as long as the owner lives."""
    _owners.add(owner)


def keep(inherited: Any) -> None:
    """Keep something that a fork copied alive, unused, for as long as this process lives.

    Finalising it would talk to the parent's database sessions, or wait for threads that do not exist here.
    """
    if inherited is not None:
        _inherited.append(inherited)


def keep_for_ever(inherited: Any) -> None:
    """Keep something that a fork has copied from being deleted, even at the end of the process.

    To delete it would be to talk to the parent's database sessions, or to complain that nobody has closed them.
    """
    with contextlib.suppress(ImportError, AttributeError):
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))


def _renew_locks() -> None:
    for owner in list(_owners):
        owner.renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)

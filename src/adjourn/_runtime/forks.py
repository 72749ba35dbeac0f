"""Replaces the locks that a forked child inherits, and keeps other inherited objects from being deleted there.

If another thread of the parent holds a lock at the moment of the fork, the lock stays locked in the child for ever,
because that thread does not exist there. So every owner of locks makes new ones in the child.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from typing import Any, Protocol


class OwnsLocks(Protocol):
    """An object that can replace its locks."""

    def renew_locks(self) -> None:
        """Replace the locks. It is called in a forked child before anything else runs there."""


_owners: weakref.WeakSet[OwnsLocks] = weakref.WeakSet()
_inherited: list[Any] = []


def watch(owner: OwnsLocks) -> None:
    """Replace an owner's locks in each forked child, as long as the owner exists."""
    _owners.add(owner)


def keep(inherited: Any) -> None:
    """Keep an object that a fork has copied until this process ends, without using it.

    Its finaliser would talk to the parent's database sessions, or wait for threads that do not exist here.
    """
    if inherited is not None:
        _inherited.append(inherited)


def keep_for_ever(inherited: Any) -> None:
    """Keep an object that a fork has copied from being deleted, even at the end of the process.

    Deleting it would talk to the parent's database sessions, or warn that they were not closed.
    """
    with contextlib.suppress(ImportError, AttributeError):
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))


def _renew_locks() -> None:
    errors = []
    for owner in list(_owners):
        try:
            owner.renew_locks()
        except Exception as error:
            errors.append(error)  # the others must not keep locks that nobody releases
    if errors:
        # Python prints it, and the fork goes on.
        raise ExceptionGroup("A forked child keeps some locks of its parent", errors)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)

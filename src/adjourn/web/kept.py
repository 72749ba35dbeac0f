"""What was read for one page, kept for some seconds: read once for all who look at the same, and only while somebody does."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import attrs

from adjourn.exceptions import AdjournException
from adjourn.monitor.reader import Reader
from adjourn.web.database import Database
from adjourn.web.problems import Problem

MOST_KEPT = 64
"""So many answers are remembered."""

Found = TypeVar("Found")


@attrs.define
class Answer(Generic[Found]):
    """What was read last.

    Attributes
    ----------
    found
        What it was; what nobody could read yet is empty.
    error
        Why it could not be read the last time; empty if it could.
    """

    found: Found
    error: str = ""
    lock: threading.Lock = attrs.field(factory=threading.Lock)
    until: float = 0.0


class Kept:
    """Reads, and keeps the answers for some seconds.

    Parameters
    ----------
    database
        Where to read.
    is_down
        Says whether the database did not answer somebody else just now. Then it is not asked.
    """

    def __init__(self, database: Database, is_down: Callable[[], bool]) -> None:
        self._database, self._is_down = database, is_down
        self._lock = threading.Lock()
        self._answers: OrderedDict[Any, Answer[Any]] = OrderedDict()
        self.queries: int = 0
        """How many queries it has made."""
        self.busy: float = 0.0
        """How many seconds they took."""

    def read(self, key: Any, seconds: float, find: Callable[[Reader], Found], nothing: Found) -> Answer[Found]:
        """Return an answer that is not older.

        Parameters
        ----------
        key
            What is asked for.
        seconds
            How old the answer may be.
        find
            Reads it, by one query.
        nothing
            The answer while it could not be read.
        """
        with self._lock:
            answer: Answer[Found] = self._answers.setdefault(key, Answer(nothing))
            self._answers.move_to_end(key)
            while len(self._answers) > MOST_KEPT:
                self._answers.popitem(last=False)
        # Others who want the same wait for it.
        with answer.lock:
            if time.monotonic() < answer.until:
                return answer
            if self._is_down():
                # What is empty then is not known to be nothing.
                answer.error = "The database does not answer."
            else:
                try:
                    answer.found, answer.error = self._found(find), ""
                except (AdjournException, Problem) as error:
                    answer.error = " ".join(str(error).split())
                answer.until = time.monotonic() + seconds
        return answer

    def _found(self, find: Callable[[Reader], Found]) -> Found:
        began = time.monotonic()
        with self._database.reader() as reader:
            found = find(reader)
        self.queries += 1
        self.busy += time.monotonic() - began
        return found

"""Sending the events that tasks wait for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from adjourn._domain.checks import check_name, checked_list
from adjourn._domain.results import ResultRule
from adjourn._domain.time_checks import check_seconds
from adjourn.exceptions import InvalidOption, InvalidResult
from adjourn.manager.jobs import JobManager

__all__ = ["SendsEvents"]

TTL = 604_800.0
"""Seconds for which an event counts: a week."""


class SendsEvents:
    """The part of an app that sends events to tasks."""

    job_manager: JobManager

    def send_event(self, name: str, payload: Any = None, ttl: float = TTL, connection: Any = None) -> bool:
        """Send an event to all jobs that wait for it (`JobContext.wait_for_event`), now or within ``ttl``.

        The first event of a name counts until its ``ttl`` is over; another one until then changes nothing.

        Parameters
        ----------
        name
            The event's name, which is the whole application's. Put into it what it is about: ``order:7:paid``.
        payload
            What the tasks get, which becomes JSON.
        ttl
            For so many seconds a job that begins to wait gets it; a week by default.
        connection
            A connection or session of yours, as ``task.configure(connection=...)`` takes it: the event is sent if its transaction commits.

        Returns
        -------
        bool
            Whether it is the first of its name.

        Raises
        ------
        InvalidOption
            If the name, the payload or ``ttl`` is not valid.
        InvalidConnection
            If the connection cannot be used.
        """
        return self.send_events([(name, payload)], ttl, connection)[0]

    async def send_event_async(self, name: str, payload: Any = None, ttl: float = TTL, connection: Any = None) -> bool:
        """Send an event to all jobs that wait for it. See `send_event`."""
        return (await self.send_events_async([(name, payload)], ttl, connection))[0]

    def send_events(self, events: Iterable[tuple[str, Any]], ttl: float = TTL, connection: Any = None) -> list[bool]:
        """Send several events in one commit: pairs of a name and a payload. See `send_event`.

        Returns
        -------
        list of bool
            Whether each is the first of its name.
        """
        return self.job_manager.runs.send_events(self._dumped(events, ttl), ttl, connection)

    async def send_events_async(
        self, events: Iterable[tuple[str, Any]], ttl: float = TTL, connection: Any = None
    ) -> list[bool]:
        """Send several events in one commit: pairs of a name and a payload. See `send_events`."""
        return await self.job_manager.runs.send_events_async(self._dumped(events, ttl), ttl, connection)

    def _dumped(self, events: Any, ttl: Any) -> list[tuple[str, str]]:
        check_seconds("ttl", ttl, above_zero=True)
        dumped = []
        for number, event in enumerate(checked_list("events", events, "pairs of a name and a payload")):
            if not isinstance(event, tuple | list) or len(event) != 2:
                raise InvalidOption(
                    f"events[{number}]={event!r}: pass a name and a payload, as in ('order:7:paid', 1)."
                )
            name, payload = event
            check_name("name", name)
            try:
                text = ResultRule().dump(
                    payload, self.job_manager.connector.json_dumps, f"the payload of event {name!r}", "send"
                )
            except InvalidResult as error:
                raise InvalidOption(f"events[{number}]: {error}") from error.__cause__
            dumped.append((name, text))
        return dumped

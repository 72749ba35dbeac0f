"""The shell's commands about limits."""

from __future__ import annotations

import warnings
from typing import Any

from adjourn.cli import grammar
from adjourn.cli.commands import Commands
from adjourn.cli.doubts import doubt
from adjourn.cli.grammar import UsageError
from adjourn.limits import Rate, Scope

PLACES: dict[str, Scope] = {"queue": "queue", "task": "task", "name": "key"}


class LimitCommands(Commands):
    """The commands."""

    def on_list_limits(self, words: list[str]) -> None:
        """List the limits."""
        grammar.filters(words, ())
        self._screen.limits(self._app.job_manager.list_limits())

    def on_set_limit(self, words: list[str]) -> None:
        """Set a limit."""
        given = grammar.filters(words, (*PLACES, "concurrency", "rate"))
        numbers: dict[str, Any] = {}
        if "concurrency" in given:
            numbers["concurrency"] = _number(given.pop("concurrency"))
        if "rate" in given:
            numbers["rate"] = _rates(given.pop("rate"))
        place = self._place("set_limit", given)
        if not numbers:
            raise UsageError("set it to what? Write concurrency=NUMBER, rate=NUMBER/SECONDS or both; none lifts it")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it is told by `doubt`
            is_new = self._changing.set_limit(**given, **numbers)
        self._say(place, "is set" if is_new else "was set so already")

    def on_reset_limit(self, words: list[str]) -> None:
        """Take back what was set."""
        given = grammar.filters(words, tuple(PLACES))
        place = self._place("reset_limit", given)
        self._say(place, "is what programs declare" if self._changing.reset_limit(**given) else "was not set")

    def _place(self, command: str, given: dict[str, str]) -> tuple[str, str]:
        if len(given) != 1:
            raise UsageError(f"write {command} {grammar.USAGES[command][0]}")
        ((kind, name),) = given.items()
        doubt(self._app, PLACES[kind], name)
        return kind, name

    def _say(self, place: tuple[str, str], what: str) -> None:
        kind, name = place
        self._screen.say(f"The limit {name if kind == 'name' else f'of {kind} {name}'} {what}")


def _number(text: str) -> int | None:
    return None if text == "none" else grammar.number("concurrency", text)


def _rates(text: str) -> list[Rate] | None:
    """Read rates such as ``10/1,1000/3600``."""
    if text == "none":
        return None
    rates = []
    for each in text.split(","):
        number, slash, seconds = each.partition("/")
        try:
            rates.append(Rate(int(number), float(seconds) if slash else 1.0))
        except ValueError:
            raise UsageError(
                f"rate={text!r}: write NUMBER/SECONDS, as in 10/60, or several, as in 10/1,1000/3600"
            ) from None
    return rates

"""Parameters of addresses and forms, read within bounds. What is not valid is refused in words that name the parameter."""

from __future__ import annotations

import datetime
import urllib.parse
from collections.abc import Collection, Mapping

import attrs

from adjourn._domain.checks import check_name
from adjourn._domain.durations import duration_of
from adjourn.exceptions import InvalidOption
from adjourn.web.problems import BadInput

MOST_TEXT = 2048
"""Characters of one value."""
MOST_QUERY = 16_384
MOST_VALUES = 500
MOST_BODY = 65_536
LARGEST_ID = 2**63 - 1


@attrs.frozen
class Inputs:
    """The parameters of an address, or the fields of a form.

    Parameters
    ----------
    values
        The values of each name, in their order.
    """

    values: Mapping[str, list[str]]

    @classmethod
    def read(cls, text: str) -> Inputs:
        """Read what follows the question mark of an address, or a form's body.

        Raises
        ------
        BadInput
            If it is too long, or not UTF-8.
        """
        try:
            pairs = urllib.parse.parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_VALUES, errors="strict")
        except ValueError:
            raise BadInput(
                "parameters",
                f"they are not text in UTF-8, or more than {MOST_VALUES}: pass fewer, as a page of this dashboard does.",
            ) from None
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            if "\0" in value or "\0" in name:
                raise BadInput(
                    name.replace("\0", "\\0")[:100], "it has a NUL character, which no name has: leave it out."
                )
            values.setdefault(name, []).append(value)
        return cls(values)

    def text(self, name: str, default: str = "", *, most: int = MOST_TEXT) -> str:
        """Return a text; an absent one is the default.

        Raises
        ------
        BadInput
            If it is longer than ``most`` characters.
        """
        found = self.values.get(name)
        if not found:
            return default
        if len(found[-1]) > most:
            raise BadInput(name, f"it has {len(found[-1]):,} characters: pass at most {most:,}.")
        return found[-1]

    def needed(self, name: str, *, most: int = MOST_TEXT) -> str:
        """Return a text that must be there.

        Raises
        ------
        BadInput
            If it is absent or empty, or too long.
        """
        found = self.text(name, most=most)
        if not found:
            raise BadInput(name, "it is missing: pass it.")
        return found

    def known_name(self, name: str, *, needed: bool = True) -> str:
        """Return the name of a queue or a task; an empty text if it is absent and not needed.

        Raises
        ------
        BadInput
            If it is needed and absent, or nothing can have such a name.
        """
        found = self.needed(name) if needed else self.text(name)
        if found:
            try:
                check_name(name, found)
            except InvalidOption as error:
                raise BadInput(name, str(error)) from None
        return found

    def number(self, name: str, default: int | None = None, *, least: int = 0, most: int = LARGEST_ID) -> int | None:
        """Return a whole number; an absent or empty one is the default.

        Raises
        ------
        BadInput
            If it is not a whole number, or outside of these bounds.
        """
        text = self.text(name, most=40).strip()
        return default if not text else _number(name, text, least, most)

    def duration(self, name: str, *, most: float) -> float | None:
        """Return the seconds of a span of time, such as ``10m`` or ``1h30m``; None for an absent or empty one.

        Raises
        ------
        BadInput
            If it is none, or longer.
        """
        text = self.text(name, most=40).strip()
        try:
            return duration_of(text, most, above_zero=True) if text else None
        except InvalidOption as error:
            raise BadInput(name, f"{error}.") from None

    def moment(self, name: str, zone: datetime.tzinfo = datetime.UTC) -> datetime.datetime | None:
        """Return a time, in this zone if it has no offset; None for an absent or empty one.

        Raises
        ------
        BadInput
            If it is no time.
        """
        text = self.text(name, most=40).strip()
        if not text:
            return None
        try:
            time = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise BadInput(name, f"{text!r} is no time: pass one such as 2026-01-31T12:00, in {zone}.") from None
        return time if time.tzinfo else time.replace(tzinfo=zone)

    def ids(self, name: str) -> list[int]:
        """Return all values as ids. Empty ones, of fields that nobody has filled in, do not count.

        Raises
        ------
        BadInput
            If one of them is not an id.
        """
        return [_number(name, value.strip(), 0, LARGEST_ID) for value in self.values.get(name, ()) if value.strip()]

    def choice(self, name: str, choices: Collection[str], default: str = "") -> str:
        """Return one of these words; an absent or empty one is the default.

        Raises
        ------
        BadInput
            If it is another word.
        """
        found = self.text(name, most=100) or default
        if found != default and found not in choices:
            raise BadInput(name, f"{found!r} is none of these: pass {', '.join(choices)}.")
        return found

    def several(self, name: str, choices: Collection[str]) -> list[str]:
        """Return those of these words that were passed, in their order.

        Raises
        ------
        BadInput
            If there is another word.
        """
        asked = set(self.values.get(name, ()))
        for each in asked:
            if each not in choices:
                raise BadInput(name, f"{each[:40]!r} is none of {', '.join(choices)}.")
        return [each for each in choices if each in asked]

    def flag(self, name: str) -> bool:
        """Return whether a box is checked.

        Raises
        ------
        BadInput
            If it is neither 0 nor 1.
        """
        return self.choice(name, ("0", "1"), "0") == "1"


def _number(name: str, text: str, least: int, most: int) -> int:
    # int() would take digits of any script, and underscores.
    if not text.removeprefix("-").isdecimal() or not text.isascii():
        raise BadInput(name, f"{text[:40]!r} is not a whole number: pass one from {least:,} to {most:,}.")
    number = int(text)
    if not least <= number <= most:
        raise BadInput(name, f"{number} is out of range: pass a whole number from {least:,} to {most:,}.")
    return number

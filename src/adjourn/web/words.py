"""Cron expressions in words."""

from __future__ import annotations

import functools

import cron_descriptor

LONGEST = 200
"""Characters of an expression, and of its words, that are shown."""
_NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


@functools.lru_cache(maxsize=1000)
def cron_in_words(expression: str) -> str | None:
    """Return what an expression says, such as ``"At 03:00, Monday through Friday"``; None if there are no words for it.

    Parameters
    ----------
    expression
        One that `adjourn._domain.cron.Cron` accepts. A sixth field has the seconds.
    """
    if len(expression) > LONGEST:
        return None
    fields = _NAMED.get(expression.lower().strip(), expression).upper().split()
    if len(fields) == 6:
        # There the seconds come first.
        fields = [fields[5], *fields[:5]]
    options = cron_descriptor.Options()
    options.use_24hour_time_format = True
    options.locale_code = "en_US"
    try:
        words = cron_descriptor.ExpressionDescriptor(" ".join(fields), options).get_full_description()
    except (ValueError, IndexError, KeyError, cron_descriptor.FormatError, cron_descriptor.WrongArgumentError):
        return None
    return words if len(words) <= LONGEST else None

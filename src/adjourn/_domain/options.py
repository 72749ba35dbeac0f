"""The single description of an option: signatures, docstrings, the command line, the environment and the documentation
take it from here, or a test compares them with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

_KEY = "adjourn.option"


@attrs.frozen(kw_only=True)
class Option:
    """The text about an option, and how the command line spells the option.

    Attributes
    ----------
    sentence
        What it does, without a capital and without a full stop.
    none
        What None stands for, as in "no limit".
    unit
        What a number counts, as in "seconds".
    reads
        The type to which the command line converts a text: `str`, `int`, `float`, `bool`, `list` (of names),
        `datetime.datetime`, `datetime.timedelta` or an enumeration of words. None if text cannot express the value:
        then the option has no flag.
    flag
        The flag, if it is not the name with dashes.
    letter
        The letter of its short flag.
    off
        For a `bool`: the flag that sets it to False, and what that does.
    metavar
        The placeholder for the value in ``--help``, if it is not the unit.
    as_value, as_text
        Text about the value for Python only, or for the command line only.
    """

    sentence: str
    none: str = ""
    unit: str = ""
    reads: type | None = None
    flag: str = ""
    letter: str = ""
    off: tuple[str, str] | None = None
    metavar: str = ""
    as_value: str = ""
    as_text: str = ""

    def flag_for(self, name: str) -> str:
        """Return the option's long flag, such as ``--stalled-worker-timeout``."""
        return self.flag or "--" + name.replace("_", "-")

    def variable_for(self, name: str, command: str) -> str:
        """Return the option's environment variable without its prefix, such as ``WORKER_STALLED_WORKER_TIMEOUT``."""
        return f"{command}_{self.flag_for(name).lstrip('-')}".replace("-", "_").upper()


def told(sentence: str, **said: Any) -> Mapping[str, Option]:
    """Return the metadata of an attrs field that is an option; takes what `Option` does."""
    return {_KEY: Option(sentence=sentence, **said)}


def option_of(field: attrs.Attribute[Any]) -> Option:
    """Return the description of an attrs field that is an option."""
    option: Option = field.metadata[_KEY]
    return option

"""Which values options may have. Each check names the option and says what to pass instead."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

from adjourn._domain.spelling import hint, unknown_option
from adjourn.exceptions import InvalidOption
from adjourn.unique import Unique

T = TypeVar("T")

MAX_NAME_LENGTH = 255
LONGEST_REASON = 1000
MAX_PORT = 65_535
ORDERS = ("id", "due")
"""The orders in which jobs are listed."""
DUE = {"status": ("todo",), "waits_for": ("time", "event", "retry")}
"""What jobs are that wait for a time."""
WAITS_FOR = ("time", "event", "retry", "lock", "task", "turn", "jobs", "limit", "pause", "worker")
"""What a job can wait for, as the view of all jobs says it."""
MIDDLEWARE_PARAMETERS = ("call_next", "context", "worker")
_INTEGER_RANGE = range(-(2**31), 2**31)
_BIGINT_RANGE = range(-(2**63), 2**63)


def check_name(argument: str, value: Any, *, optional: bool = False) -> None:
    """Refuse anything that cannot be the name of a queue, a lock or a task.

    Raises
    ------
    InvalidOption
        If it is refused; the message names the argument.
    """
    if value is None and optional:
        return
    if not isinstance(value, str):
        raise InvalidOption(f"{argument}={value!r}: pass a string{' or None' if optional else ''}.")
    if not value or len(value) > MAX_NAME_LENGTH:
        shown = value if len(value) <= 40 else value[:40] + "..."
        raise InvalidOption(f"{argument}={shown!r} has {len(value)} characters: pass between 1 and {MAX_NAME_LENGTH}.")
    if not is_storable(value):
        raise InvalidOption(
            f"{argument}={value!r}: NUL characters and lone surrogates cannot be stored; leave them out."
        )


def checked_periodic_id(value: Any) -> str:
    """Return a ``periodic_id`` that can be stored; unlike other names it may be empty."""
    if value != "":
        check_name("periodic_id", value)
    return str(value)


def check_priority(value: Any) -> None:
    """Refuse anything that is not a priority: an integer of 32 bits.

    Raises
    ------
    InvalidOption
        If it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidOption(f"priority={value!r}: pass an integer; higher ones go first.")
    if value not in _INTEGER_RANGE:
        raise InvalidOption(
            f"priority={value!r}: pass an integer between {_INTEGER_RANGE[0]} and {_INTEGER_RANGE[-1]}."
        )


def check_unique(value: Any, queueing_lock: str | None) -> None:
    """Refuse anything that does not say which jobs are the same, and a unique job with a queueing lock; None is accepted.

    Raises
    ------
    InvalidOption
        If it is refused.
    """
    if value is None:
        return
    if not isinstance(value, Unique):
        raise InvalidOption(f"unique={value!r}: pass an adjourn.Unique, such as Unique(args=['user']).")
    if queueing_lock is not None:
        raise InvalidOption(
            "unique and queueing_lock exclude each other: pass one of them. Unique(key=..., over=['todo']) does what a queueing "
            "lock does."
        )


def check_one_of(task: str, unique: Any, queueing_lock: Any, of_task: Unique | None, lock_of_task: str | None) -> None:
    """Refuse a queueing lock of a job whose task is unique, and the other way round: the job would lose what its task says.

    Raises
    ------
    InvalidOption
        If it is refused.
    """
    if queueing_lock is not None and of_task is not None:
        raise InvalidOption(
            f"queueing_lock={queueing_lock!r}: task {task} is unique, and a job is unique or has a queueing lock. Pass "
            f"unique=Unique(key={queueing_lock!r}, over=['todo']) instead, or leave unique out of the task."
        )
    if unique is not None and lock_of_task is not None:
        raise InvalidOption(
            f"unique={unique!r}: task {task} has the queueing lock {lock_of_task!r}, and a job is unique or has a queueing lock. Give the "
            "task unique=... instead, or leave its queueing_lock out."
        )


def check_waits_for(value: Any) -> None:
    """Refuse what no job waits for; None is no filter."""
    if value is not None and value not in WAITS_FOR:
        raise InvalidOption(f"waits_for={value!r}{hint(str(value), WAITS_FOR)} Pass one of: {', '.join(WAITS_FOR)}.")


def check_order(order: Any, **others: Any) -> None:
    """Refuse what is no order of jobs, and filters that no job matches of those that are due at a time."""
    if order not in ORDERS:
        raise InvalidOption(f"order={order!r}{hint(str(order), ORDERS)} Pass one of: {', '.join(ORDERS)}.")
    for argument, value in others.items() if order == "due" else ():
        if value is not None and value not in DUE.get(argument, ()):
            raise InvalidOption(
                f"{argument}={value!r} and order='due': jobs that are due wait for a time. Leave {argument} out."
            )


def is_storable(text: str) -> bool:
    """Return whether Postgres can store a text: it must have no NUL and no half of a surrogate pair."""
    if "\0" in text:
        return False
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def check_count(argument: str, value: Any) -> None:
    """Refuse anything that is not a whole number, zero or more.

    Raises
    ------
    InvalidOption
        If it is refused; the message names the argument.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise InvalidOption(f"{argument}={value!r}: pass an integer, zero or more.")


def check_id(argument: str, value: Any) -> None:
    """Refuse anything that cannot be the id of a job or a worker: an integer of 64 bits.

    Raises
    ------
    InvalidOption
        If it is refused; the message names the argument.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value not in _BIGINT_RANGE:
        raise InvalidOption(f"{argument}={value!r}: pass an id, an integer of 64 bits.")


def check_filter(argument: str, value: Any) -> None:
    """Refuse a filter that cannot match anything stored: it must be a string, or None for no filter.

    Raises
    ------
    InvalidOption
        If it is refused; the message names the argument.
    """
    if value is None:
        return
    if not isinstance(value, str):
        raise InvalidOption(f"{argument}={value!r}: pass a string, or None for all.")
    if not is_storable(value):
        raise InvalidOption(f"{argument}={value!r}: nothing with NUL characters or lone surrogates is ever stored.")


def check_reason(argument: str, value: Any) -> None:
    """Refuse what cannot be shown as the reason of something; None is no reason.

    Raises
    ------
    InvalidOption
        If it is not a text of 1 to 1,000 characters that can be stored.
    """
    if value is None:
        return
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_REASON or not is_storable(value):
        raise InvalidOption(
            f"{argument}={reprlib.repr(value)}: pass a text of 1 to {LONGEST_REASON:,} characters without NUL and lone surrogates, or leave it out."
        )


def check_flag(argument: str, value: Any) -> None:
    """Refuse anything but True and False: ``"no"`` would count as true.

    Raises
    ------
    InvalidOption
        If it is refused; the message names the argument.
    """
    if not isinstance(value, bool):
        raise InvalidOption(f"{argument}={value!r}: pass True or False.")


def check_flags(**flags: Any) -> None:
    """Refuse each value that is neither True nor False; the message names its argument."""
    for argument, value in flags.items():
        check_flag(argument, value)


def check_filters(**filters: Any) -> None:
    """Refuse each value that is neither a string nor None; the message names its argument."""
    for argument, value in filters.items():
        check_filter(argument, value)


def checked_list(argument: str, value: Any, of_what: str) -> tuple[Any, ...]:
    """Return the elements of a list, or of any other iterable that is not a string.

    Parameters
    ----------
    of_what
        What its elements are, for the message.

    Raises
    ------
    InvalidOption
        If it is refused; the message names the argument.
    """
    if isinstance(value, str | bytes):
        raise InvalidOption(f"{argument}={value!r}: pass a list of {of_what}, such as [{value!r}].")
    if not isinstance(value, Iterable):
        raise InvalidOption(f"{argument}={value!r}: pass a list of {of_what}.")
    return tuple(value)


def checked_names(argument: str, value: Any) -> tuple[str, ...] | None:
    """Return a list of names, of queues for instance, or None.

    Raises
    ------
    InvalidOption
        If it is refused; the message names the argument.
    """
    if value is None:
        return None
    names = checked_list(argument, value, "names")
    for name in names:
        check_name(argument, name)
    return names


def check_known(argument: str, given: Any, known: Iterable[str]) -> None:
    """Refuse options that are not a dictionary, and options that do not exist.

    Parameters
    ----------
    argument
        The name of the argument that holds the options, for the message.
    known
        The names of the options that exist.

    Raises
    ------
    InvalidOption
        If they are not a dictionary.
    UnknownOption
        If an option does not exist; the message names the first such option, and all that exist.
    """
    known = tuple(known)
    if not isinstance(given, Mapping):
        raise InvalidOption(f"{argument}={given!r}: pass a dictionary of options.")
    for name in given:
        if name not in known:
            raise unknown_option(argument, str(name), known)


def function_or(argument: str, value: Any, default: T) -> T:
    """Return the function that was passed, or the default if it is None.

    Raises
    ------
    InvalidOption
        If the value cannot be called.
    """
    if value is None:
        return default
    if not callable(value):
        raise InvalidOption(f"{argument}={value!r}: pass a function, or None for the default.")
    return cast("T", value)


def check_takes(argument: str, function: Callable[..., Any], parameters: Iterable[str]) -> None:
    """Refuse a function that cannot be called with these positional arguments.

    Parameters
    ----------
    parameters
        The names of the arguments, for the message.

    Raises
    ------
    InvalidOption
        If it cannot; the message names the argument and the function. A function without a known signature passes.
    """
    names = tuple(parameters)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*names)
    except TypeError as error:
        raise InvalidOption(
            f"{argument}: {function!r} cannot be called with ({', '.join(names)}): {error}. Declare these parameters."
        ) from error


def check_callback(argument: str, value: Any, parameters: Iterable[str]) -> None:
    """Refuse anything but None, or a function that can be called with these positional arguments.

    Raises
    ------
    InvalidOption
        If it is neither.
    """
    if value is None:
        return
    if not callable(value):
        raise InvalidOption(f"{argument}={value!r}: pass a function, or None.")
    check_takes(argument, value, parameters)


def check_connector(value: Any) -> None:
    """Refuse anything that does not look like a connector.

    Raises
    ------
    InvalidOption
        If it is something else.
    """
    if not (hasattr(value, "get_sync_connector") or hasattr(value, "get_async_connector")):
        raise InvalidOption(
            f"connector={value!r}: pass a connector, such as adjourn.PsycopgConnector('postgresql://...')."
        )


def check_port(argument: str, value: Any) -> None:
    """Refuse anything that is not a port, or several ports separated by commas, as libpq takes them for several hosts.

    Raises
    ------
    InvalidOption
        If it is refused; the message names the argument.
    """
    if value is not None and not is_port(value):
        raise InvalidOption(f"{argument}={value!r}: pass a number between 1 and {MAX_PORT}.")


def is_port(value: Any) -> bool:
    """Return whether a value is a port, or several of them separated by commas; an empty one means the default."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return False
    return all(not port or (port.isdecimal() and 0 < int(port) <= MAX_PORT) for port in str(value).split(","))

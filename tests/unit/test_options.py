"""What is written down about options says what `Options` and `JOB_OPTIONS` declare.

Signatures, types and docstrings have to be plain text for editors and type checkers. Run as a script, this file writes
them anew: ``python tests/unit/test_options.py``.
"""

from __future__ import annotations

import difflib
import enum
import inspect
import re
import sys
import textwrap
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import adjourn
from adjourn._domain.job_options import JOB_OPTIONS
from adjourn._domain.options import Option, option_of
from adjourn.blueprints import Blueprint
from adjourn.jobs import DEFAULT_PRIORITY, DEFAULT_QUEUE
from adjourn.tasks import Task, make_job
from adjourn.types import ConfigureOptions, PeriodicOptions
from adjourn.worker.options import Options

ROOT = Path(__file__).parents[2]
PACKAGE = Path(adjourn.__file__).parent
WIDTH = 120

PLACES = {
    "the signature of Worker": (
        "worker/worker.py",
        r"    def __init__\(\n        self,\n        app: [^\n]+,\n",
        r"    \) -> None:",
    ),
    "the docstring of Worker": (
        "worker/worker.py",
        r"class Worker:\n.*?    Parameters\n    -+\n    app\n        [^\n]+\n",
        r"\n    [A-Z]",
    ),
    "the type WorkerOptions": (
        "types.py",
        r'class WorkerOptions\(TypedDict, total=False\):\n    """[^\n]+"""\n\n',
        r"\n\n|\Z",
    ),
    "the docstring of Task.configure": (
        "tasks.py",
        r"    def configure\(.*?        Parameters\n        -+\n",
        r"\n        [A-Z]",
    ),
}
"""Where options are written down: a file, and what stands before and after them."""


def declared() -> list[tuple[inspect.Parameter, Option]]:
    """Each option as an argument, with what is said of it."""
    parameters = inspect.signature(Options).parameters
    return [(parameters[field.name], option_of(field)) for field in attrs.fields(Options)]


def in_python(value: Any) -> str:
    """A default as a program writes it."""
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def described(option: Option, default: Any) -> str:
    """What a docstring says of an option."""
    sentences = [": ".join(filter(None, (option.sentence, option.as_value)))]
    if option.off is not None:
        sentences.append(f"False: {option.off[1]}")
    if option.unit:
        sentences.append(f"in {option.unit}")
    shown = f"{default:g}" if isinstance(default, float) else in_python(getattr(default, "value", default))
    sentences.append(f"default: {shown}{f', {option.none}' if default is None else ''}")
    return " ".join(sentence[0].upper() + sentence[1:] + "." for sentence in sentences)


def signature() -> Iterator[str]:
    """The lines of a signature."""
    by_position = True
    for parameter, _ in declared():
        if by_position and parameter.kind is parameter.KEYWORD_ONLY:
            by_position = False
            yield "        *,"
        yield f"        {parameter.name}: {parameter.annotation} = {in_python(parameter.default)},"


def section(indent: int, options: Iterable[tuple[str, Option, Any]]) -> Iterator[str]:
    """The lines of a docstring's section."""
    for name, option, default in options:
        yield " " * indent + name
        margin = " " * (indent + 4)
        yield from textwrap.wrap(
            described(option, default), WIDTH, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
        )


def docstring() -> Iterator[str]:
    """The lines of the worker's docstring."""
    return section(4, ((parameter.name, option, parameter.default) for parameter, option in declared()))


def docstring_of_jobs() -> Iterator[str]:
    """The lines of the docstring of what configures jobs."""
    return section(8, ((name, option, None) for name, option in JOB_OPTIONS.items()))


def typed_dictionary() -> Iterator[str]:
    """The lines of a typed dictionary."""
    for parameter, _ in declared():
        yield f"    {parameter.name}: {parameter.annotation}"


WRITTEN = dict(zip(PLACES, (signature, docstring, typed_dictionary, docstring_of_jobs), strict=True))


def found(place: str) -> tuple[Path, str, int, int]:
    """The file of a place, its text, and where in it the options begin and end."""
    name, before, after = PLACES[place]
    path = PACKAGE / name
    text = path.read_text()
    begin = re.search(before, text, re.DOTALL)
    assert begin is not None, f"{path}: the lines above the options are not what this test looks for: {before}"
    end = re.compile(after).search(text, begin.end() - 1)
    assert end is not None, f"{path}: the line below the options is not what this test looks for: {after}"
    return path, text, begin.end(), max(begin.end(), end.start())


def differences(place: str) -> list[str]:
    """What to change in a place, line by line."""
    path, text, begin, end = found(place)
    above = text.count("\n", 0, begin)
    old, new = text[begin:end].splitlines(), list(WRITTEN[place]())
    told = []
    for kind, first, last, new_first, new_last in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if kind != "equal":
            told.append(f"{path.relative_to(ROOT)}, line {above + first + 1}: {kind}")
            told += [f"  - {line}" for line in old[first:last]]
            told += [f"  + {line}" for line in new[new_first:new_last]]
    return told


@pytest.mark.parametrize("place", PLACES)
def test_what_is_written_of_the_options_is_what_is_declared(place: str) -> None:
    told = differences(place)
    if told:
        this = Path(__file__).relative_to(ROOT)
        told.insert(0, f"{place} is not what is declared. Change this, or run `python {this}`, which does it:")
        pytest.fail("\n".join(told), pytrace=False)


@pytest.mark.parametrize(("parameter", "option"), declared(), ids=[each.name for each in attrs.fields(Options)])
def test_the_sentence_of_an_option_fits_both_a_docstring_and_a_flag(
    parameter: inspect.Parameter, option: Option
) -> None:
    for sentence in (option.sentence, option.as_text, *(option.off or ("", ""))[1:]):
        assert not sentence.endswith(".")
        assert not sentence[:1].isupper() or sentence.startswith("Postgres")
    assert option.sentence
    assert bool(option.none) == (parameter.default is None), f"{parameter.name}: what does None stand for?"
    assert (option.off is not None) == (option.reads is bool), f"{parameter.name}: which flag says False?"
    assert option.unit or "float" not in parameter.annotation, f"{parameter.name}: in which unit?"


def parameters(function: Callable[..., Any], *but: str) -> list[tuple[str, Any, Any]]:
    """Name, type and default of what a function takes, except for itself and some others."""
    taken = inspect.signature(function).parameters.values()
    return [(each.name, each.annotation, each.default) for each in taken if each.name not in ("self", *but)]


def types_of(typed_dictionary: Any) -> list[tuple[str, Any]]:
    """The keys of a typed dictionary with their types, as they are written."""
    return [(name, kind.__forward_arg__) for name, kind in typed_dictionary.__annotations__.items()]


def test_the_options_of_a_job_are_the_same_wherever_they_are_passed() -> None:
    """Their types are declared in `ConfigureOptions`, and what they do in `JOB_OPTIONS`, in the same order."""
    expected = types_of(ConfigureOptions)
    assert list(JOB_OPTIONS) == [name for name, _ in expected]
    assert parameters(Task.configure) == [(name, kind, None) for name, kind in expected]
    plain, with_arguments = typing.get_overloads(Task.configure)
    assert parameters(with_arguments) == parameters(Task.configure)
    assert parameters(plain, "task_kwargs") == parameters(Task.configure, "task_kwargs")
    assert set(parameters(make_job, "name")) == {(name, kind, None) for name, kind in expected if name != "connection"}
    # Each tick is deferred at its time, once, and by a worker.
    other = [
        each
        for each in expected
        if each[0] not in ("schedule_at", "schedule_in", "unique", "limit_key", "expires_at", "connection")
    ]
    assert types_of(PeriodicOptions) == other


def test_the_options_of_a_task_are_the_same_wherever_they_are_passed() -> None:
    expected = parameters(Task.__init__, "func", "blueprint")
    assert parameters(Blueprint.task, "_func") == expected
    _, *overloads = typing.get_overloads(Blueprint.task)
    assert len(overloads) == 3
    # Which of these it is depends on these two.
    deciding = ("pass_context", "batch")
    for each in overloads[:2]:
        assert parameters(each, "_func", *deciding) == [kind for kind in expected if kind[0] not in deciding]
    no_batches = (*deciding, "lock")
    assert parameters(overloads[2], "_func", *no_batches) == [kind for kind in expected if kind[0] not in no_batches]
    defaults = {name: default for name, _, default in expected}
    shared = {"queue": DEFAULT_QUEUE, "priority": DEFAULT_PRIORITY, "lock": None, "queueing_lock": None}
    assert {name: defaults[name] for name in shared} == shared
    assert shared.keys() <= JOB_OPTIONS.keys()


if __name__ == "__main__":
    for each in PLACES:
        file, before, start, stop = found(each)
        ending = "\n" if before[start:stop].endswith("\n") else ""
        file.write_text(before[:start] + "\n".join(WRITTEN[each]()) + ending + before[stop:])
        sys.stdout.write(f"Wrote {each} in {file}\n")

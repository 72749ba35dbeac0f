"""Programs as they are written in an asynchronous room, small but of every shape that the generator has to read."""

from __future__ import annotations

from textwrap import indent

from hypothesis import strategies as st

COROUTINES = ("fetch_async", "store_async", "_close_async")
VALUES = ("row", "total", "self.size", "AsyncReader", "é")
HINTS = ("int", "AsyncReader", "AsyncIterator[int]", "Callable[[int], Awaitable[int]]", "Coroutine[Any, Any, str]")
# Sentences whose words change only by taking `_async`, `await ` and the like away: a test can do that by itself.
SENTENCES = (
    "Waits for `fetch_async`.",
    "Call ``await store_async(1)`` in a loop,\n    then _close_async().",
    "The AsyncReader is closed.",
    "async with AsyncReader() as reader: ...",
    "Nothing that changes: pools, 100 % of them.",
)


def _joined(pattern: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda chosen: pattern.format(*chosen))


def _compound(part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    coroutines = st.sampled_from(COROUTINES)
    return st.one_of(
        _joined("await {}({})", coroutines, part),
        _joined("(await self.{}({})).rows", coroutines, part),
        _joined("(await {}({}))[{}]", coroutines, part, part),
        _joined("[item async for item in self.items_async() if {}]", part),
        _joined("{{item: {} for item in {}}}", part, part),
        _joined("(await {}(item) for item in [{}])", coroutines, part),
        _joined("call({}, key={})", part, part),
        _joined("(not {}, -{})", part, part),
        _joined("(lambda item: item)({})", part),
        _joined("({} if {} else {})", part, part, part),
    )


values = st.sampled_from(
    (*VALUES, "1", "'fetch_async'", "'é'", '"an AsyncReader"', "f'{row} of {total!r:>{row}}'", "b''")
)
expressions = st.recursive(values, _compound, max_leaves=6)


def _blocks(statements: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(statements, min_size=1, max_size=3).map(lambda lines: indent("\n".join(lines), "    "))


def _nested(statements: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    block = _blocks(statements)
    return st.one_of(
        _joined("async with {} as row, self.lock:\n{}", expressions, block),
        _joined("async for row in {}:\n{}\nelse:\n{}", expressions, block, block),
        _joined("if {}:\n{}", expressions, block),
        _joined("try:\n{}\nfinally:\n{}", block, block),
        _joined("async def {}(row: int) -> None:\n{}", st.sampled_from(("help_async", "_ask_async")), block),
        _joined("with {}:\n{}", expressions, block),
    )


simple = st.one_of(
    _joined("row = {}", expressions),
    _joined("self.size: int = {}", expressions),
    _joined("return {}  # the AsyncReader waits", expressions),
    _joined("await self.{}(\n    {},\n)", st.sampled_from(COROUTINES), expressions),
    st.just("# await fetch_async(1)\npass"),
)
statements = st.recursive(simple, _nested, max_leaves=4)


@st.composite
def functions(draw: st.DrawFn, name: str) -> str:
    """Write one coroutine function, with hints, a docstring and a body."""
    hint, result, sentence = (draw(st.sampled_from(pool)) for pool in (HINTS, HINTS, SENTENCES))
    body = draw(_blocks(statements))
    return f'async def {name}(self, row: {hint} = 1, *, total: int = 2) -> {result}:\n    """{sentence}"""\n{body}\n'


@st.composite
def programs(draw: st.DrawFn) -> str:
    """Write one module: a class with coroutine methods, an iterator and a context, and a function."""
    sentence = draw(st.sampled_from(SENTENCES))
    methods = [draw(functions(name)) for name in draw(st.lists(st.sampled_from(COROUTINES), unique=True))]
    methods.append("async def items_async(self) -> AsyncGenerator[int, None]:\n    yield await self.first_async()\n")
    methods.append("async def __aenter__(self) -> AsyncReader:\n    return self\n")
    return "\n".join(
        (
            f'"""{sentence}"""',
            "from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine",
            f"class AsyncReader:\n    # {draw(st.sampled_from(COROUTINES))} comes first",
            indent("\n".join(methods), "    "),
            draw(functions("run_async")),
            "__all__ = ['AsyncReader', 'run_async']\n",
        )
    )

"""Where the tracebacks of tasks begin."""

from __future__ import annotations

import itertools
import types

MACHINERY = ("adjourn.worker", "adjourn._domain.middleware")
"""What calls tasks and middleware."""
CARRIERS = ("asyncio", "concurrent.futures")
"""What that calls to wait for them."""


def begin_in_user_code(error: BaseException) -> None:
    """Leave what calls tasks out of an exception's traceback, so that it shows the code of the task and of its middleware.

    A traceback that ends there stays as it is: then the error is not the task's.

    Parameters
    ----------
    error
        What a run has raised. It must not be on its way any more.
    """
    frames, kept, is_ours = error.__traceback__, list[types.TracebackType](), False
    while frames is not None:
        module = str(frames.tb_frame.f_globals.get("__name__"))
        is_ours = _is_in(module, MACHINERY) or (is_ours and _is_in(module, CARRIERS))
        if not is_ours:
            kept.append(frames)
        frames = frames.tb_next
    if is_ours or not kept:
        return
    for upper, lower in itertools.pairwise(kept):
        # Python walks through all that is below a frame that is set, so of a deep recursion none is set that is there.
        if upper.tb_next is not lower:
            upper.tb_next = lower
    error.__traceback__ = kept[0]


def _is_in(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)

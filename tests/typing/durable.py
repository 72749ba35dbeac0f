"""What a type checker says to those who write steps. Lines marked `refused` must be errors; all others must be none."""

from __future__ import annotations

from typing import Any, assert_type

import adjourn

app = adjourn.App(connector=adjourn.PsycopgConnector())


def charge(order: int, *, currency: str = "EUR") -> dict[str, int]:
    return {currency: order}


async def mail(to: str) -> bool:
    return bool(to)


@app.task(pass_context=True)
def blocking(context: adjourn.JobContext) -> None:
    assert_type(context.step("charge", charge, 1, currency="USD"), dict[str, int])
    assert_type(context.step("length", len, "x"), int)
    context.step("charge", charge, "1")  # refused: arg-type | reportArgumentType
    context.step("charge", charge, 1, coin="USD")  # refused: call-arg | reportCallIssue
    context.step(1, charge, 1)  # refused: arg-type | reportArgumentType
    context.sleep(3600, "an hour")
    context.sleep("3600")  # refused: arg-type | reportArgumentType
    assert_type(context.wait_for_event("e", timeout=1.5), Any)
    context.wait_for_event("e", timeout="1")  # refused: arg-type | reportArgumentType
    assert_type(context.wait_for_jobs([1, 2]), list[adjourn.jobs.Job])
    context.wait_for_jobs(["1"])  # refused: list-item | reportArgumentType
    context.complete(object(), result=1)
    with context.transaction() as connection:
        assert_type(connection, Any)


@app.task(pass_context=True)
async def awaited(context: adjourn.JobContext) -> None:
    assert_type(await context.step_async("mail", mail, "a"), bool)
    assert_type(await context.step_async("charge", charge, 1), dict[str, int])
    await context.step_async("mail", mail, 1)  # refused: call-overload | reportCallIssue, reportArgumentType
    await context.sleep_async(1)
    assert_type(await context.wait_for_event_async("e"), Any)
    assert_type(await context.wait_for_jobs_async(iter([1])), list[adjourn.jobs.Job])
    async with context.transaction_async() as connection:
        await context.complete_async(connection)


assert_type(app.send_event("e", {"a": 1}, ttl=60), bool)
assert_type(app.send_events([("e", 1), ("f", None)]), list[bool])
app.send_events([("e",)])  # refused: list-item | reportArgumentType

"""The service, as its clients see it, and its jobs."""

import httpx2
from newsletter import jobs

from adjourn.testing import assert_deferred_async, drain_async, refute_deferred_async


async def test_a_subscriber_gets_a_mail(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/subscribers", params={"mail": "ada@example.org"})
    assert answer.status_code == 201
    await assert_deferred_async(jobs.app, jobs.confirm, args={"subscriber_id": answer.json()}, count=1)
    assert (await client.get("/mails")).json() == []
    await drain_async(jobs.app)
    assert (await client.get("/mails")).json() == ["ada@example.org: You get our letters from now on."]


async def test_a_subscriber_that_is_refused_gets_none(client: httpx2.AsyncClient) -> None:
    for expected in (201, 409):
        answer = await client.post("/subscribers", params={"mail": "ada@example.org"})
        assert answer.status_code == expected
    await assert_deferred_async(jobs.app, jobs.confirm, count=1)


async def test_a_letter_goes_to_everybody_who_is_still_there(client: httpx2.AsyncClient) -> None:
    for name in ("ada", "bob", "eve"):
        left = await client.post("/subscribers", params={"mail": f"{name}@example.org"})
    await drain_async(jobs.app)
    assert (await client.post("/letters", params={"text": "Hello!"})).json() == 3
    await assert_deferred_async(jobs.app, jobs.deliver, queue="letters", count=3)
    await client.delete(f"/subscribers/{left.json()}")
    drained = await drain_async(jobs.app, queues=["letters"])
    assert drained.succeeded == 3
    mails = (await client.get("/mails")).json()
    assert sorted(mail for mail in mails if "Hello!" in mail) == ["ada@example.org: Hello!", "bob@example.org: Hello!"]


async def test_a_letter_to_nobody_defers_nothing(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/letters", params={"text": "Hello!"})).json() == 0
    await refute_deferred_async(jobs.app)

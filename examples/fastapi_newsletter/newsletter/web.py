"""The endpoints."""

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import FastAPI, HTTPException
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from adjourn.contrib.fastapi import Transaction, lifespan, transaction
from newsletter import jobs
from newsletter.database import Mail, Session, Subscriber, engine

Jobs = Annotated[Transaction, transaction(Session)]


@contextlib.asynccontextmanager
async def disposing(web: FastAPI) -> AsyncIterator[None]:
    """Close the engine when the server ends."""
    yield
    await engine.dispose()


web = FastAPI(title="Newsletter", lifespan=lifespan(jobs.app, inner=disposing))


@web.post("/subscribers", status_code=201)
async def subscribe(mail: str, session: Session, deferring: Jobs) -> int:
    """Add a subscriber, and the job that tells them: both, or neither."""
    subscriber = Subscriber(mail=mail)
    session.add(subscriber)
    try:
        await session.flush()
    except IntegrityError as error:
        raise HTTPException(409, f"{mail} is a subscriber already.") from error
    await deferring.defer_async(jobs.confirm, subscriber_id=subscriber.id)
    return subscriber.id


@web.delete("/subscribers/{subscriber_id}", status_code=204)
async def leave(subscriber_id: int, session: Session) -> None:
    """Remove a subscriber. Jobs that are about them find nobody."""
    await session.execute(delete(Subscriber).where(Subscriber.id == subscriber_id))


@web.post("/letters", status_code=202)
async def write(text: str, session: Session, deferring: Jobs) -> int:
    """Send a letter to everybody, with one job each, and return how many."""
    ids = (await session.scalars(select(Subscriber.id))).all()
    letters = deferring.configure(jobs.deliver)
    await letters.batch_defer_async(*({"subscriber_id": each, "text": text} for each in ids))
    return len(ids)


@web.get("/mails")
async def mails(session: Session) -> list[str]:
    """Return the mails that were sent, the latest first."""
    found = await session.scalars(select(Mail).order_by(Mail.id.desc()).limit(20))
    return [f"{mail.to}: {mail.text}" for mail in found]

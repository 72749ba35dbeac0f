"""What the workers do."""

from sqlalchemy.ext.asyncio import AsyncSession

import adjourn
from newsletter.database import URL, Mail, Subscriber, make_session

app = adjourn.App(connector=adjourn.PsycopgConnector(URL))
retry = adjourn.RetryStrategy(max_attempts=5, exponential_wait=5)


async def send(session: AsyncSession, to: str, text: str) -> None:
    """Send a mail."""
    session.add(Mail(to=to, text=text))


@app.task(retry=retry)
async def confirm(subscriber_id: int) -> None:
    """Tell somebody that they have subscribed."""
    async with make_session.begin() as session:
        subscriber = await session.get(Subscriber, subscriber_id)
        if subscriber is not None:  # they may have left meanwhile
            await send(session, subscriber.mail, "You get our letters from now on.")


@app.task(queue="letters", retry=retry)
async def deliver(subscriber_id: int, text: str) -> None:
    """Send a letter to one subscriber."""
    async with make_session.begin() as session:
        subscriber = await session.get(Subscriber, subscriber_id)
        if subscriber is not None:
            await send(session, subscriber.mail, text)

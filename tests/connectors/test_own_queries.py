"""Queries of the user's own, on the connector's connections and on the user's, with dictionaries as values."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from adjourn.exceptions import NoResult
from dispatch.pairs import CONNECTIONS, DRIVERS, SYNCHRONOUS, Pair

READ = "SELECT (%(given)s::jsonb)->>'who' AS who"
ADD = "INSERT INTO scratch (name) VALUES ((%(given)s::jsonb)->>'who') RETURNING name"
GIVEN: dict[str, Any] = {"who": 'it\'s "Ann" 100%'}
FOUND = {"who": GIVEN["who"]}


@pytest.mark.parametrize("pair", DRIVERS, ids=str)
async def test_a_dictionary_is_json_when_awaited(pair: Pair, scratch: str, stored: Any) -> None:
    connector = pair.connector(scratch, 2, 10)
    await connector.open_async()
    assert await connector.execute_query_one_async(READ, given=GIVEN) == FOUND
    assert pair.connect_async is not None
    async with pair.connect_async(scratch) as connection:
        on_it = connector.execute_query_all_async_with_connection
        assert await on_it(connection, ADD, given=GIVEN) == [{"name": GIVEN["who"]}]
        assert await connector.execute_query_one_async_with_connection(connection, READ, given=GIVEN) == FOUND
        with pytest.raises(NoResult):
            await connector.execute_query_one_async_with_connection(connection, "SELECT 1 WHERE false")
        result = connection.rollback()
        if result is not None:
            await result
    assert stored() == []
    await connector.close_async()


@pytest.mark.parametrize("kind", CONNECTIONS)
def test_a_dictionary_is_json_in_blocking_calls(kind: str, scratch: str, stored: Any) -> None:
    connector = SYNCHRONOUS[kind](scratch, 2, 10)
    connector.open()
    assert connector.execute_query_one(READ, given=GIVEN) == FOUND
    with CONNECTIONS[kind](scratch) as connection:
        assert connector.execute_query_all_with_connection(connection, ADD, given=GIVEN) == [{"name": GIVEN["who"]}]
        assert connector.execute_query_one_with_connection(connection, READ, given=GIVEN) == FOUND
        connection.rollback()
    assert stored() == []
    connector.close()


@pytest.mark.parametrize("pair", DRIVERS[:2], ids=str)
def test_so_is_each_dictionary_of_a_list(pair: Pair, scratch: str) -> None:
    connector = pair.connector(scratch, 1, 10)
    connector.open()
    with contextlib.closing(connector):
        found = connector.execute_query_one("SELECT (%(given)s::jsonb[])[2]->>'a' AS a", given=[{"a": 1}, {"a": 2}])
        assert found == {"a": "2"}

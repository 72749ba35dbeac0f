"""Code that both colours of the psycopg2 connector share."""

from __future__ import annotations

try:
    import psycopg2  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"The psycopg2 connectors need psycopg2, which cannot be imported ({error}). Install it with "
        "`pip install 'adjourn[psycopg2]'`."
    ) from error

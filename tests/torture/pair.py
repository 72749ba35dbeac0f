"""A primary and its synchronous standby."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from support.waiting import until
from torture.postgres import DATABASE, SUPERUSER, Postgres, make_database
from torture.trial import Trial


class Pair:
    """Two servers: nothing is acknowledged that the standby does not have.

    Parameters
    ----------
    directory
        Where their data is.

    Attributes
    ----------
    primary, standby
        Which is which at present.
    """

    def __init__(self, directory: Path) -> None:
        self.primary = Postgres(directory / "one")
        self.standby = Postgres(directory / "two")

    @property
    def address(self) -> str:
        """The address of whichever is the primary."""
        ports = f"{self.primary.port},{self.standby.port}"
        place = f"host=127.0.0.1,127.0.0.1 port={ports} user={SUPERUSER} dbname={DATABASE}"
        return f"{place} target_session_attrs=read-write"

    @property
    def dsn(self) -> str:
        """The address, with a limit for each server."""
        return f"{self.address} connect_timeout=3"

    def start(self) -> None:
        """Make and start both."""
        self.primary.initialize()
        self.primary.start()
        make_database(self.primary)
        self.follow()

    def follow(self) -> None:
        """Make the standby anew, as a copy of the primary, and have commits wait for it."""
        shutil.rmtree(self.standby.data, ignore_errors=True)
        self.standby.clone(self.primary)
        self.standby.start()
        with self.primary.connect("postgres") as connection:
            connection.execute(f"alter system set synchronous_standby_names = '{self.standby.home.name}'".encode())
            connection.execute("select pg_reload_conf()")
            synchronous = "select 1 from pg_stat_replication where sync_state = 'sync'"
            until(lambda: connection.execute(synchronous).fetchone())

    def promote(self) -> None:
        """Make the standby the primary. It waits for no standby until there is one."""
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    @classmethod
    @contextlib.contextmanager
    def of(cls, trial: Trial) -> Iterator[Pair]:
        """Run a pair for a scenario."""
        pair = cls(trial.directory)
        with trial.own(pair.primary), trial.own(pair.standby):
            pair.start()
            yield pair

"""How many rows an export would have, for somebody who waits for the answer."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from timeball.egress import PUBLIC_ONLY, Policy
from timeball.export import sql
from timeball.export.databases import opened, reflect
from timeball.export.failures import of_database
from timeball.export.segments import parse_segment
from timeball.export.sources import Source

PATIENCE = timedelta(seconds=10)


def count(source: Source, data: object, now: datetime, policy: Policy = PUBLIC_ONLY) -> int:
    """The rows of the source's chain in the segment `data`, a JSON value; all of them without one.

    Raises InvalidField for the segment, ExportUnavailable when it takes longer than PATIENCE.
    """
    with opened(source, PATIENCE, policy) as connection:
        table, shown = reflect(source, connection)
        segment = None if data is None else parse_segment(data, source, shown, "segment")
        statement = sql.count(source, table, segment, now, connection.dialect.name)
        timer = None
        if connection.dialect.name == "sqlite":  # which has no time limit of its own
            driver = connection.connection.driver_connection
            assert driver is not None
            timer = threading.Timer(PATIENCE.total_seconds(), driver.interrupt)
            timer.start()
        try:
            return int(connection.execute(statement).scalar_one())
        except Exception as error:
            raise of_database(error) from None
        finally:
            if timer is not None:
                timer.cancel()

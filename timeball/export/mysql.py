"""PyMySQL's connection, but one that can be lost without a noise.

A result that is read row by row reads its rest when it is let go of, even from a connection that is gone: each
time a traceback on the standard error, and no way to hear of it. Imported only where a source is MySQL's.
"""

from __future__ import annotations

import pymysql


class Connection(pymysql.Connection):  # type: ignore[misc] # PyMySQL tells no types
    """A connection after whose loss nothing is left to be read."""

    def _force_close(self) -> None:
        super()._force_close()
        pending = getattr(self, "_result", None)
        if pending is not None:
            pending.unbuffered_active = False
            pending.connection = None

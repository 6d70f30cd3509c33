"""What a program prints, line by line."""

from __future__ import annotations

import os
from collections.abc import Callable


class Lines:
    """Cuts what a pipe gives into lines; a line longer than a whole buffer is cut where the buffer ends."""

    def __init__(self, descriptor: int, take: Callable[[bytes], None]) -> None:
        self._descriptor = descriptor
        self._take = take
        self._rest = b""

    def read(self) -> bool:
        """Read what there is; False at the end of the pipe."""
        try:
            data = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            self._take(line)
        if self._rest and (not data or len(self._rest) > 65536):
            self._take(self._rest)
            self._rest = b""
        return bool(data)

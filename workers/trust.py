"""Whom calls trust: the system's certificate authorities, and those that the operator adds."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path
from typing import IO


def trust(ca_file: str) -> IO[bytes]:
    """A file of the system's roots and those of `ca_file`; it goes when it is closed.

    libcurl takes one file, and parses it anew for each connection unless it is a file. Raises OSError.
    """
    found = ssl.get_default_verify_paths()
    roots = next((p for p in (found.cafile, *_ROOTS) if p and os.path.exists(p)), None)
    made = tempfile.NamedTemporaryFile(prefix="timeball-roots-", suffix=".pem")  # noqa: SIM115 (the caller closes it)
    for path in filter(None, (roots, ca_file)):
        made.write(Path(path).read_bytes() + b"\n")
    made.flush()
    return made


_ROOTS = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
"""Where distributions keep the roots, for a Python that was built elsewhere."""

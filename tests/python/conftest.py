"""The API on a port, for a client that speaks HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from werkzeug.serving import make_server

from api.app import create_app
from timeball.client import Timeball
from timeball.dispatch.house import House
from timeball.model.project import ApiKey
from timeball.settings import Settings


@pytest.fixture
def url(settings: Settings, house: House) -> Iterator[str]:
    """Where the API is."""
    server = make_server("127.0.0.1", 0, create_app(settings), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def timeball(url: str, api_key: tuple[ApiKey, str]) -> Iterator[Timeball]:
    """A client of the test's project."""
    with Timeball(url, api_key[1], tries=3) as client:
        yield client

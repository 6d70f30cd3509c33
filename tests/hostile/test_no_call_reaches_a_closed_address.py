"""A listener on an address that is closed is never connected to: by no notation, name, answer or change of a name.

Here calls are made past the check of their URL, as if it had not been: what is proved is the check at connect.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pycurl
import pytest

from tests.receiver import Answer, Received, Receiver
from timeball import egress
from timeball.model.attempt import Outcome
from timeball.store.codec import Claimed
from workers import call
from workers.call import Called, Caller, Prepared
from workers.prepare import host_of


def words(text: str) -> list[str]:
    return text.split()


LOOPBACK = words("""
    127.0.0.1  127.1  127.0.1  127.0.0.1.  2130706433  017700000001  0x7f000001  0X7F000001  0x7F.1  0177.1
    0177.0.0.1  0x7f.0.0x0.1  0000000000000000000177.0.0.1  127.000.000.001  127.0x1  127.0.01
    127.0.0.2  127.255.255.254  0  0.0.0.0  0x0  00
    localhost  LOCALHOST  localhost.  app.localhost
    [::1]  [::]  [0:0:0:0:0:0:0:1]  [::0.0.0.1]  [::ffff:127.0.0.1]  [::ffff:7f00:1]  [0:0:0:0:0:ffff:7f00:1]
    [::FFFF:127.0.0.2]  [::ffff:0.0.0.0]
""")
"""Every way to this machine that libcurl and the kernel may understand."""

ELSEWHERE = words("""
    10.0.0.1  192.168.0.1  172.16.0.1  169.254.169.254  2852039166  0xa9fea9fe  100.64.0.1  100.100.100.200
    192.0.0.192  168.63.129.16  198.18.0.1  224.0.0.1  255.255.255.255
    [fe80::1]  [fec0::1]  [fd00:ec2::254]  [ff02::1]  [64:ff9b::7f00:1]  [64:ff9b::a9fe:a9fe]  [64:ff9b:1::1]
    [2002:7f00:1::]  [2002:a9fe:a9fe::]  [2001::1]  [::127.0.0.1]  [::ffff:0:127.0.0.1]
    [2606:4700::5efe:7f00:1]
""")
"""Closed addresses that are not here: no socket may even be opened for them."""


class Listener:
    """Listens on every address of this machine and counts who comes."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET6)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self._socket.bind(("::", 0))
        self._socket.listen(64)
        self.port: int = self._socket.getsockname()[1]
        self.came = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.came += 1
            connection.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The families of the sockets that were opened for calls."""
    found: list[tuple[int, ...]] = []
    real = socket.socket

    class Counted(real):
        def __init__(self, *families: int) -> None:
            found.append(families)
            super().__init__(*families)

    monkeypatch.setattr(call.socket, "socket", Counted)
    return found


def caller_of(*allowed: str, denied: tuple[str, ...] = (), own: tuple[int, ...] = ()) -> Caller:
    policy = egress.Policy.parse(allowed, denied, own)
    return Caller(policy, connect_timeout_ms=500, keep_bytes=100, read_bytes=1000)


def go(caller: Caller, *urls: str) -> list[Called]:
    """Call URLs, all at once; how each ended, in their order."""
    claimed = [Claimed(b"%d" % n, "p/default", 1, 0, 0.0, 0.0, {}, b"") for n in range(len(urls))]
    for one, url in zip(claimed, urls, strict=True):
        caller.start(Prepared(one, 0.0, url, host_of(url), "POST", [], b"", 3000))
    ended: list[Called] = []
    end = time.monotonic() + 20
    while len(ended) < len(urls):
        assert time.monotonic() < end
        ended += caller.wait(0.1)
    return sorted(ended, key=lambda called: int(called.prepared.claimed.id))


def test_no_notation_of_a_closed_address_opens_a_socket(
    listener: Listener, opened: list[tuple[int, ...]]
) -> None:
    caller = caller_of()
    urls = [
        f"{scheme}://{host}:{listener.port}/"
        for host in (*LOOPBACK, *ELSEWHERE)
        for scheme in ("http", "https")
    ]
    for url, called in zip(urls, go(caller, *urls), strict=True):
        # what libcurl takes for a name is one that nobody has
        assert called.outcome in (Outcome.BLOCKED, Outcome.UNREACHABLE), (url, called)
        assert called.status is None
    caller.close()
    assert opened == []
    assert listener.came == 0


def test_the_listener_would_have_been_reached(listener: Listener) -> None:
    """So the test before is worth something: what is open by setting gets there, in nearly every notation."""
    caller = caller_of("0.0.0.0/0", "::/0", "localhost", "app.localhost")
    urls = [f"http://{host}:{listener.port}/" for host in LOOPBACK]
    for url in urls:
        go(caller, url)
    caller.close()
    assert listener.came > len(LOOPBACK) * 0.7


def test_our_own_ports_are_closed_whatever_is_allowed(listener: Listener) -> None:
    caller = caller_of("0.0.0.0/0", "::/0", "localhost", "app.localhost", own=(listener.port,))
    ended = go(caller, *(f"http://{host}:{listener.port}/" for host in LOOPBACK))
    caller.close()
    assert {called.outcome for called in ended} <= {Outcome.BLOCKED, Outcome.UNREACHABLE}
    assert listener.came == 0


def test_what_is_denied_stays_closed(listener: Listener) -> None:
    caller = caller_of("0.0.0.0/0", "::/0", "localhost", denied=("127.0.0.0/8", "0.0.0.0", "::/64"))
    ended = go(caller, *(f"http://{host}:{listener.port}/" for host in LOOPBACK))
    caller.close()
    assert {called.outcome for called in ended} <= {Outcome.BLOCKED, Outcome.UNREACHABLE}
    assert listener.came == 0


Rebind = Callable[..., None]


@pytest.fixture
def rebind(monkeypatch: pytest.MonkeyPatch) -> Rebind:
    """Says where a name leads from the next call on, in libcurl's own cache of names."""
    entries: list[str] = []
    configure = call._Slot._configure
    start = Caller.start

    def configured(slot: call._Slot) -> None:
        configure(slot)
        slot.curl.setopt(pycurl.RESOLVE, entries)

    def started(caller: Caller, prepared: Prepared) -> None:
        for slot in caller._slots.values():
            slot.curl.setopt(pycurl.RESOLVE, entries)
        start(caller, prepared)

    monkeypatch.setattr(call._Slot, "_configure", configured)
    monkeypatch.setattr(Caller, "start", started)

    def rebind(name: str, port: int, *addresses: str) -> None:
        entries[:] = [f"-{name}:{port}", f"{name}:{port}:{','.join(addresses)}"]

    return rebind


def test_a_name_that_leads_to_a_closed_address(listener: Listener, rebind: Rebind) -> None:
    for address in ("127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "10.0.0.1"):
        caller = caller_of("127.0.0.3")
        rebind("kind.test", listener.port, address)
        (called,) = go(caller, f"http://kind.test:{listener.port}/")
        assert called.outcome is Outcome.BLOCKED, (address, called)
        caller.close()
    assert listener.came == 0


def test_a_name_that_turns_to_a_closed_address_between_calls(rebind: Rebind) -> None:
    """Rebinding: the name was good when it was looked at, and at the first calls."""
    with Receiver(lambda _: Answer(headers={"Connection": "close"})) as victim:
        caller = caller_of("127.0.0.2")
        url = f"http://kind.test:{victim.port}/"
        with socket.create_server(("127.0.0.2", victim.port)) as friend:

            def answer() -> None:
                for _ in range(2):
                    connection, _ = friend.accept()
                    connection.recv(10_000)
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                    )
                    connection.close()

            thread = threading.Thread(target=answer)
            thread.start()
            for _ in range(2):
                rebind("kind.test", victim.port, "127.0.0.2")
                assert go(caller, url)[0].outcome is Outcome.ANSWERED
                rebind("kind.test", victim.port, "127.0.0.1")
                for _ in range(3):
                    assert go(caller, url)[0].outcome is Outcome.BLOCKED
            thread.join(5)
        caller.close()
        assert victim.received == []


def test_a_name_with_a_good_and_a_closed_address_goes_to_the_good_one(rebind: Rebind) -> None:
    with Receiver() as victim, socket.create_server(("127.0.0.2", victim.port)) as friend:
        caller = caller_of("127.0.0.2")
        rebind("kind.test", victim.port, "127.0.0.1", "[::1]", "127.0.0.2")

        def answer() -> None:
            connection, _ = friend.accept()
            connection.recv(10_000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        (called,) = go(caller, f"http://kind.test:{victim.port}/")
        caller.close()
        assert victim.received == []
        assert called.outcome in (Outcome.ANSWERED, Outcome.BLOCKED)


def test_a_redirect_leads_nowhere(listener: Listener) -> None:
    places = [
        f"http://127.0.0.1:{listener.port}/",
        f"//127.0.0.1:{listener.port}/",
        f"https://2130706433:{listener.port}/",
    ]
    statuses = (300, 301, 302, 303, 307, 308)

    def answer(request: Received) -> Answer:
        _, status, place = request.path.split("/")
        return Answer(int(status), {"Location": places[int(place)]})

    with Receiver(answer) as front:
        caller = caller_of("0.0.0.0/0")
        urls = [f"{front.url}/{s}/{p}" for s in statuses for p in range(len(places))]
        ended = go(caller, *urls)
        caller.close()
    assert [called.status for called in ended] == [s for s in statuses for _ in places]
    assert listener.came == 0

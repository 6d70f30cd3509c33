"""A project's calls go through its proxy, and show its certificate; those of others do not."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.conftest import environment
from tests.hostile.endpoints import make_certificates
from tests.receiver import Receiver
from tests.workers.test_pump import ended, pumping, submit
from timeball.cli import cli
from timeball.dispatch import intake
from timeball.dispatch.house import House
from timeball.errors import InvalidField
from timeball.model.attempt import Outcome
from timeball.model.project import Project
from timeball.model.retry import RetryPolicy
from timeball.model.task import Task
from timeball.settings import Settings
from timeball.store import via
from timeball.store.via import Via
from workers import prepare

__all__ = ["submit"]

ONCE = RetryPolicy(max_attempts=1)


class Proxy:
    """An HTTP proxy that takes CONNECT and remembers what it was asked, in a thread of its own."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        self.asked.append(head)
        port = head.split(b" ")[1].rpartition(b":")[2]
        with client, socket.create_connection(("127.0.0.1", int(port))) as server:
            client.sendall(b"HTTP/1.1 200 Connected\r\nX-Proxy: yes\r\n\r\n")
            threading.Thread(target=_pour, args=(server, client), daemon=True).start()
            _pour(client, server)

    def close(self) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()


def _pour(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(4096):
            sink.sendall(data)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    yield made
    made.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    return folder


@pytest.fixture
def pump(house: House, certificates: Path) -> Iterator[Callable[..., None]]:
    """Starts a pump that may reach some targets."""
    authority = str(certificates / "authority.pem")
    with ExitStack() as stack:

        def start(*allowed: str) -> None:
            stack.enter_context(pumping(house, allowed=allowed, ca_file=authority))

        yield start


def test_calls_go_through_the_proxy(
    house: House,
    project: Project,
    submit: Callable[..., bytes],
    proxy: Proxy,
    pump: Callable[..., None],
) -> None:
    url = f"http://user:word@127.0.0.1:{proxy.port}"
    via.put(house.client, house.vault, project.id, Via(proxy=url))
    # only the proxy may be connected to: what lies behind it is its own affair
    pump(f"127.0.0.1:{proxy.port}")
    with Receiver() as receiver:
        for _ in range(3):
            task = ended(house, project, submit(f"http://kind.test:{receiver.port}/"))
        assert [request.headers["host"] for request in receiver.received] == [
            f"kind.test:{receiver.port}"
        ] * 3
        assert "proxy-authorization" not in receiver.received[0].headers
    assert proxy.asked[0].startswith(f"CONNECT kind.test:{receiver.port} ".encode())
    assert b"Proxy-Authorization: Basic" in proxy.asked[0]
    assert b"webhook" not in proxy.asked[0].lower(), "the proxy sees nothing of the call"
    (attempt,) = intake.attempts(house, project.id, task.id)
    assert "x-proxy" not in {name.lower() for name, _ in attempt.headers}


def test_a_proxy_is_judged_as_any_address(
    house: House,
    project: Project,
    submit: Callable[..., bytes],
    proxy: Proxy,
    pump: Callable[..., None],
) -> None:
    via.put(house.client, house.vault, project.id, Via(proxy=f"http://127.0.0.1:{proxy.port}"))
    pump()
    task = ended(house, project, submit("http://kind.test/", retry=ONCE))
    assert _outcome(house, project, task) is Outcome.BLOCKED
    assert proxy.asked == []


def _outcome(house: House, project: Project, task: Task) -> Outcome:
    return intake.attempts(house, project.id, task.id)[-1].outcome


@pytest.fixture
def strict(certificates: Path) -> Iterator[tuple[int, list[str]]]:
    """A server that wants a certificate of its callers: its port, and who came."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "good.pem", certificates / "good.key")
    context.load_verify_locations(certificates / "authority.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    door, came = socket.create_server(("127.0.0.1", 0)), []

    def serve() -> None:
        while True:
            try:
                client, _ = door.accept()
            except OSError:
                return
            with suppress(OSError), client, context.wrap_socket(client, server_side=True) as call:
                call.recv(10_000)
                shown = call.getpeercert()
                assert shown
                came.append(str(dict(name[0] for name in shown["subject"])["commonName"]))
                call.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    yield door.getsockname()[1], came
    door.shutdown(socket.SHUT_RDWR)
    door.close()


def test_calls_show_the_projects_certificate(
    house: House,
    project: Project,
    submit: Callable[..., bytes],
    certificates: Path,
    strict: tuple[int, list[str]],
    pump: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port, came = strict
    monkeypatch.setattr(prepare, "SIGNERS_LIVE_SECONDS", 0.0)
    pem, key = ((certificates / f"client.{end}").read_text() for end in ("pem", "key"))
    via.put(house.client, house.vault, project.id, Via(certificate=pem, key=key))
    pump("localhost")
    url = f"https://localhost:{port}/"
    task = ended(house, project, submit(url, retry=ONCE))
    assert _outcome(house, project, task) is Outcome.ANSWERED
    assert came == ["client"]
    assert b"PRIVATE KEY" not in (house.client.get(f"tb:{{0}}:via:{project.id}") or b"PRIVATE KEY")
    via.put(house.client, house.vault, project.id, Via())
    task = ended(house, project, submit(url, retry=ONCE))
    assert _outcome(house, project, task) is not Outcome.ANSWERED
    assert len(came) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        Via(proxy="proxy.example:3128"),
        Via(proxy="ftp://proxy.example:21"),
        Via(proxy="http://proxy.example"),
        Via(proxy="http://proxy.example:3128/path"),
        Via(proxy="socks4://proxy.example:1080"),
        Via(proxy="http://proxy.example:3128\r\nX: y"),
        Via(certificate="a", key="b"),
        Via(certificate="a"),
    ],
)
def test_a_wrong_way_out_is_refused(house: House, project: Project, wrong: Via) -> None:
    with pytest.raises(InvalidField):
        via.put(house.client, house.vault, project.id, wrong)
    assert via.get(house.client, house.vault, project.id) is None


def test_a_certificate_goes_with_its_own_key(
    house: House, project: Project, certificates: Path
) -> None:
    pem, key = (certificates / "client.pem").read_text(), (certificates / "good.key").read_text()
    with pytest.raises(InvalidField, match="does not belong"):
        via.put(house.client, house.vault, project.id, Via(certificate=pem, key=key))


def test_the_command_line_sets_it_and_shows_no_secret(
    settings: Settings,
    house: House,
    project: Project,
    certificates: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)

    def run(*words: str) -> str:
        done = CliRunner().invoke(cli, ["egress", "--project", project.name, *words])
        assert done.exit_code == 0, done.output
        return done.output

    files = (
        "--certificate",
        str(certificates / "client.pem"),
        "--key",
        str(certificates / "client.key"),
    )
    told = run("--proxy", "http://user:word@proxy.example:3128", *files)
    assert "proxy.example" in told
    assert "word" not in told
    assert run() == told
    assert "certificate: set" in told
    assert "none" in run("--no-certificate", "--proxy", "none")
    assert via.get(house.client, house.vault, project.id) is None

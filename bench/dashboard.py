"""What the dashboard costs: each page with many tasks kept, and viewers whose pages renew themselves.

    python -m bench.dashboard [--tasks 1000000] [--viewers 50] [--seconds 10] [--streams]

Needs no running product: it starts an embedded store of its own, and for the viewers the API. `--streams` measures
what decided against a stream a viewer: how long others wait while as many streams are open as there are threads.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import psutil
from werkzeug.test import Client

from api.app import create_app
from api.dashboard.pages import ROUTES
from bench.schedules import embedded
from bench.stack import free_port
from timeball.dispatch import bulk as bulk_verbs
from timeball.dispatch import intake, schedules
from timeball.dispatch.house import House
from timeball.ids import id_text
from timeball.model.attempt import Attempt, Outcome
from timeball.model.bulk import Action
from timeball.model.task import Draft, Request, State
from timeball.model.visitor import Role, Visitor
from timeball.store import codec, logins, projects, pumps
from timeball.store.lists import Filter
from timeball.up import commands

AT_ONCE = 500
TIMES = 5
LIVELIEST_SECONDS = 2.0
"""How often the page of a bulk that goes on asks; that of one that has ended asks every ten seconds."""
QUERIES = {
    "overview": ("?period=24h", "?period=7d"),
    "tasks": (
        *("?status=queued", "?status=success", "?status=failure", "?queue=q7", "?tag=t5"),
        *(
            "?name=n20",
            "?host=rare.example",
            "?url=https://rare",
            "?status=failure&host=rare.example",
        ),
    ),
    "find": ("?q=n20", "?q=nobody.example"),
    "new_bulk": ("?verb=delete", "?verb=redrive", "?verb=cancel&host=rare.example"),
}
"""What is asked of a page besides it itself; `new_bulk` needs a verb, and `find` words."""


def fill(house: House, project: str, count: int) -> None:
    """Tasks of twenty queues: two of five wait, one of fifty is dead, the others have succeeded."""
    prefix, made = house.prefix(project), 0
    now = codec.from_ms(pumps.clock(house.client, prefix)[0])
    entry = codec.encode_attempt(
        Attempt(
            1, Outcome.ANSWERED, now, 200, headers=(("Content-Type", "text/plain"),), body=b"ok"
        )
    )
    while made < count:
        drafts = [
            Draft(
                project,
                Request(
                    f"https://{'rare' if n % 9999 == 0 else 'shop'}.example/{n}", body=b"x" * 100
                ),
                queue=f"q{n % 20}",
                name=f"n{n}" if n % 10 == 0 else None,
                tags=(f"t{n % 50}",) if n % 5 == 0 else (),
                delay=timedelta(seconds=3600 + n % 86400) if n % 5 < 2 else None,
            )
            for n in range(made, min(made + AT_ONCE, count))
        ]
        intake.submit(house, project, drafts)
        made += len(drafts)
        claim = pumps.claim(house.client, prefix, "bench", AT_ONCE, 10_000, 10_000)
        results = [
            pumps.Finished(
                claimed.id,
                claimed.attempt,
                codec.STATE_CODES[State.DEAD if n % 30 == 0 else State.SUCCEEDED],
                0,
                entry,
            )
            for n, claimed in enumerate(claim.tasks)
        ]
        counters = {"succeeded": len(results), "d4": len(results), "l2": len(results)}
        pumps.finish(house.client, prefix, "bench", results, {project: counters})


def pages(house: House, project: str) -> list[str]:
    """The path of each page that we can show."""
    [task] = intake.find(house, project, Filter(state=State.DEAD), 1, None).tasks
    fields = {"cron": "0 9 * * 1-5", "request": Request("https://shop.example/tick")}
    known = {
        "task_id": id_text(task.id),
        "schedule_id": schedules.create(house, project, fields).id,
        "bulk_id": bulk_verbs.begin(house, project, Action.REDRIVE, "bench", ids=[task.id]).id,
    }
    found = []
    for method, path, name, _, _ in ROUTES:
        if method != "GET" or set(re.findall("<([^>]*)>", path)) - known.keys():
            continue
        for one, value in known.items():
            path = path.replace(f"<{one}>", value)
        alone = () if name in ("new_bulk", "find") else ("",)
        found += [f"/dashboard{path}{query}" for query in (*alone, *QUERIES.get(name, ()))]
    return found


def measure_pages(house: House, project: str) -> dict[str, tuple[float, float]]:
    """The median and the slowest of each page, in ms on the server, nothing kept from before."""
    app = create_app(house.settings)
    client, desk = Client(app), app.extensions["dashboard"]
    client.get(logins.link_path(logins.make_link(house.client, Visitor("bench", Role.ADMIN))))
    out = {}
    for path in pages(house, project):
        times = []
        for _ in range(TIMES):
            desk.cache.forget()
            begun = time.perf_counter()
            answer = client.get(path, headers={"Accept": "text/html"})
            times.append((time.perf_counter() - begun) * 1000)
            assert answer.status_code == (303 if "/find" in path else 200), (path, answer.status)
        out[path] = (statistics.median(times), max(times))
    return out


def served(command: tuple[str, ...], house: House, port: int) -> subprocess.Popen[bytes]:
    """A server of the API's kind on this store, once it answers."""
    environment = {
        **os.environ,
        "TIMEBALL_REDIS_URL": house.settings.redis_url,
        "TIMEBALL_SECRET": house.settings.secret or "",
        "TIMEBALL_DEV": "1",
    }
    process = subprocess.Popen(command, env=environment)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            ask(port, "/dashboard/login")
            return process
        except OSError:
            time.sleep(0.05)
    process.kill()
    raise SystemExit("the server did not start")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request."""

    headers: http.client.HTTPMessage
    text: str


def ask(port: int, path: str, headers: dict[str, str] | None = None) -> Answer:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers=headers or {})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return Answer(answer.headers, text)


def live_pages(house: House, project: str) -> list[str]:
    """The pages of which a part renews itself, each with something to show."""
    [task] = intake.find(house, project, Filter(state=State.DEAD), 1, None).tasks
    [bulk, *_] = bulk_verbs.newest(house, project)
    pages = ("", "/queues", "/hosts", f"/tasks/{id_text(task.id)}", f"/bulk/{bulk.id}")
    return [f"/dashboard{page}" for page in pages]


def measure_viewers(
    house: House, project: str, viewers: int, seconds: float
) -> Iterator[tuple[str, dict[str, float]]]:
    """Share of a core, in percent, that viewers of each such page cost the API and the store, and what they got.

    A task is made every second meanwhile, and each page is asked as often as its script asks when things go on.
    """
    port = free_port()
    process = served(commands.api("127.0.0.1", port), house, port)
    try:
        link = logins.link_path(logins.make_link(house.client, Visitor("bench", Role.VIEWER)))
        cookie = (ask(port, link).headers["Set-Cookie"] or "").partition(";")[0]
        for page in live_pages(house, project):
            text = ask(port, page, {"Cookie": cookie, "Accept": "text/html"}).text
            [(path, every)] = re.findall('data-live="([^"]+)" data-every="([0-9]+)"', text)
            pace = LIVELIEST_SECONDS if every == "10000" else int(every) / 1000
            yield page, _watch(house, project, process, port, cookie, path, pace, viewers, seconds)
    finally:
        process.terminate()
        process.wait()


def _watch(
    house: House,
    project: str,
    process: subprocess.Popen[bytes],
    port: int,
    cookie: str,
    path: str,
    pace: float,
    viewers: int,
    seconds: float,
) -> dict[str, float]:
    """What viewers of one live part cost who ask for it every `pace` seconds, one after the other."""
    tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]

    def cpu() -> tuple[float, float]:
        told = house.client.info("cpu")
        return (
            sum(sum(p.cpu_times()[:2]) for p in tree),
            float(told["used_cpu_user"] + told["used_cpu_sys"]),
        )

    open_ones = [http.client.HTTPConnection("127.0.0.1", port, timeout=30) for _ in range(viewers)]
    tags, fresh, sent, made = [""] * viewers, 0, 0, 0
    before, begun = cpu(), time.monotonic()
    while (now := time.monotonic() - begun) < seconds:
        place = sent % viewers
        headers = {"Cookie": cookie, "X-Live": "1", "If-None-Match": tags[place]}
        open_ones[place].request("GET", path, headers=headers)
        answer = open_ones[place].getresponse()
        answer.read()
        assert answer.status in (200, 304), answer.status
        fresh += answer.status == 200
        sent += 1
        tags[place] = answer.headers["ETag"] or ""
        if now > made:
            intake.submit(house, project, [Draft(project, Request("https://shop.example/"))])
            made += 1
        time.sleep(max(0.0, sent * pace / viewers - (time.monotonic() - begun)))
    spent = time.monotonic() - begun
    after = cpu()
    for connection in open_ones:
        connection.close()
    return {
        "a second": sent / spent,
        "fresh": 100 * fresh / sent,
        "API": 100 * (after[0] - before[0]) / spent,
        "store": 100 * (after[1] - before[1]) / spent,
    }


def stream(
    environ: dict[str, str], start: Callable[[str, list[tuple[str, str]]], object]
) -> object:
    """A WSGI app whose answers under /stream never end: a line a second."""
    start("200 OK", [("Content-Type", "text/event-stream")])
    if not environ["PATH_INFO"].startswith("/stream"):
        return [b"ok"]

    def lines() -> object:
        while True:
            yield b"data: x\n\n"
            time.sleep(1)

    return lines()


def stream_app() -> object:
    """For granian's --factory."""
    return stream


def measure_streams(house: House, count: int) -> tuple[float, float]:
    """How long another request waits before and while so many streams are open, in ms; 5 s is the most."""
    port = free_port()
    command = tuple(
        "bench.dashboard:stream_app" if word == "api.app:create_app" else word
        for word in commands.api("127.0.0.1", port)
        if word != "-P"
    )
    process = served(command, house, port)
    try:

        def wait() -> float:
            begun = time.perf_counter()
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                connection.request("GET", "/other")
                connection.getresponse().read()
            except TimeoutError:
                return 5000.0
            finally:
                connection.close()
            return (time.perf_counter() - begun) * 1000

        before = statistics.median(wait() for _ in range(5))
        streams = []
        for _ in range(count):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/stream")
            streams.append(connection)
        time.sleep(2)
        during = wait()
        for connection in streams:
            connection.close()
        return before, during
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--streams", action="store_true")
    asked = parser.parse_args()
    with embedded() as house:
        if asked.streams:
            for count in (commands.API_THREADS - 1, commands.API_THREADS, asked.viewers):
                before, during = measure_streams(house, count)
                print(
                    f"{count} streams: another waits {during:.1f} ms; without them {before:.1f} ms"
                )
            return
        project = projects.create_project(house.client, house.vault, "bench").id
        begun = time.monotonic()
        fill(house, project, asked.tasks)
        print(f"{asked.tasks:,} tasks filled in {time.monotonic() - begun:.0f} s", file=sys.stderr)
        for path, (median, worst) in measure_pages(house, project).items():
            path = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "{id}", path)
            print(f"{median:8.1f} ms median {worst:8.1f} ms slowest  {path}")
        for path, cost in measure_viewers(house, project, asked.viewers, asked.seconds):
            path = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9A-Za-z]{12}$", "{id}", path)
            print(
                f"{asked.viewers} viewers: API {cost['API']:.2f} % and store {cost['store']:.2f} % of a core, "
                f"{cost['a second']:.0f} requests a second, {cost['fresh']:.0f} % with a text  {path}"
            )


if __name__ == "__main__":
    main()

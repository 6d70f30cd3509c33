"""Faults in mid-export: killed, stopped, fenced, disk full, source gone. Never a half file."""

from __future__ import annotations

import gc
import json
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.export import servers
from tests.export.conftest import need
from tests.export.shop import CHAIN, NOW
from timeball.export import run
from timeball.export.failures import ExportFailed, ExportStopped, ExportUnavailable
from timeball.export.formats import Format
from timeball.export.run import Plan, run_export
from timeball.export.sources import Source
from timeball.export.storage import janitor

PLAN = Plan("7", 1)
ROWS = 100_000
MAKE_SQLITE = """
    CREATE TABLE big (id INTEGER PRIMARY KEY, chain_id INTEGER, country TEXT, amount NUMERIC, active BOOLEAN,
        created_at DATETIME, note TEXT);
    INSERT INTO big WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < {rows})
        SELECT i, 1764, 'NL', i % 1000 / 100.0, i % 2, datetime('2026-01-01', '+' || i || ' seconds'),
            'note number ' || i FROM s;
    CREATE VIEW huge AS SELECT big.* FROM big, (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3);
"""


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """ROWS rows in SQLite, and a view `huge` of three times as many."""
    path = tmp_path_factory.mktemp("big") / "big.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(MAKE_SQLITE.format(rows=ROWS))
    connection.close()
    return Source(
        chain=CHAIN, index="users", table="big", url=f"sqlite:///{path}", chain_column="chain_id"
    )


@pytest.fixture(scope="module")
def big_postgres(postgres: servers.Server) -> Source:
    """The same in PostgreSQL."""
    engine = sa.create_engine(postgres.url)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE big AS SELECT i AS id, 1764 AS chain_id, 'NL'::text AS country, i / 100.0 AS amount,"
            " mod(i, 2) = 0 AS active, timestamptz '2026-01-01Z' + i * interval '1 s' AS created_at,"
            f" 'note number ' || i AS note FROM generate_series(1, {ROWS}) i"
        )
        connection.exec_driver_sql(
            "CREATE VIEW huge AS SELECT big.* FROM big, generate_series(1, 3)"
        )
    engine.dispose()
    return Source(
        chain=CHAIN, index="users", table="big", url=postgres.url, chain_column="chain_id"
    )


@pytest.fixture(scope="module")
def big_mariadb(mariadb: servers.Server) -> Source:
    """ROWS rows in MariaDB."""
    engine = sa.create_engine(mariadb.url)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"CREATE TABLE big AS SELECT seq AS id, 1764 AS chain_id, 'a note' AS note FROM seq_1_to_{ROWS}"
        )
    engine.dispose()
    return Source(chain=CHAIN, index="users", table="big", url=mariadb.url, chain_column="chain_id")


@pytest.fixture(params=["sqlite", "copy", "cursor", "mariadb"])
def many(request: pytest.FixtureRequest) -> tuple[Source, Plan]:
    """Each way of reading, with enough rows for many batches."""
    places = {"sqlite": "big", "mariadb": "big_mariadb"}
    source = request.getfixturevalue(places.get(request.param, "big_postgres"))
    return source, replace(PLAN, format=Format.JSON) if request.param == "cursor" else PLAN


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_progress_is_told_in_rising_numbers(many: tuple[Source, Plan], out: Path) -> None:
    source, plan = many
    seen: list[tuple[int, int]] = []
    result = run_export(plan, source, NOW, out, lambda rows, size: seen.append((rows, size)))
    assert 1 < len(seen) <= ROWS // run.STEP
    assert seen == sorted(seen)
    assert seen[-1][0] == result.rows == ROWS
    assert files(out) == ["Users_Export-7." + plan.format]


def test_a_fenced_export_leaves_nothing(many: tuple[Source, Plan], out: Path) -> None:
    class Fenced(Exception):
        pass

    def fence(rows: int, size_bytes: int) -> None:
        if rows > 5000:
            raise Fenced

    source, plan = many
    with pytest.raises(Fenced):
        run_export(plan, source, NOW, out, fence)
    assert files(out) == []


def test_a_stopped_export_leaves_nothing_and_ends_soon(
    many: tuple[Source, Plan], out: Path
) -> None:
    source, plan = many
    seen: list[int] = []
    with pytest.raises(ExportStopped):
        run_export(
            plan, source, NOW, out, lambda rows, _: seen.append(rows), lambda: len(seen) == 3
        )
    assert 3 * run.STEP <= seen[-1] < 4 * run.STEP
    assert files(out) == []


@pytest.mark.parametrize("cut", ["stopped", "killed"])
def test_a_connection_to_mariadb_is_cut_without_a_noise(
    cut: str,
    big_mariadb: Source,
    out: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noises: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", noises.append)
    assert big_mariadb.url
    engine = sa.create_engine(big_mariadb.url, poolclass=sa.NullPool)
    steps: list[int] = []

    def told(rows: int, _size: int) -> None:
        steps.append(rows)
        if cut == "killed" and len(steps) == 2:
            with engine.begin() as connection:
                others = connection.exec_driver_sql(
                    "SELECT id FROM information_schema.processlist"
                    " WHERE id <> connection_id() AND user <> 'system user'"
                )
                for (other,) in others.fetchall():
                    connection.exec_driver_sql(f"KILL {other}")

    def stop() -> bool:
        return cut == "stopped" and len(steps) > 1

    with pytest.raises(ExportStopped if cut == "stopped" else ExportUnavailable):
        run_export(PLAN, big_mariadb, NOW, out, told, stop)
    gc.collect()
    assert noises == []
    assert [r for r in caplog.records if r.name.startswith("sqlalchemy")] == []
    assert files(out) == []


SLEEPY = {
    "big": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000000000)"
    " SELECT 1 AS id, count(*) AS note FROM n",
    "big_postgres": "SELECT 1 AS id, pg_sleep(90)::text AS note",
    "big_mariadb": "SELECT 1 AS id, sleep(90) AS note",
}


@pytest.mark.parametrize("where", SLEEPY)
def test_one_that_waits_for_its_first_row_is_stopped_too(
    where: str, request: pytest.FixtureRequest, out: Path
) -> None:
    source: Source = request.getfixturevalue(where)
    assert source.url
    path = source.url.removeprefix("sqlite:///")
    engine = sa.create_engine(source.url if where != "big" else f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE VIEW sleepy AS {SLEEPY[where]}")
    engine.dispose()
    begun = time.monotonic()
    with pytest.raises(ExportStopped):
        run_export(
            PLAN,
            replace(source, table="sleepy", chain_column=None),
            NOW,
            out,
            should_stop=lambda: time.monotonic() > begun + 0.5,
        )
    assert time.monotonic() < begun + 60
    assert files(out) == []


def test_a_file_may_not_grow_past_its_limit(big: Source, out: Path) -> None:
    with pytest.raises(ExportFailed, match="grew past 1000000 bytes"):
        run_export(replace(PLAN, max_bytes=1_000_000), big, NOW, out)
    assert files(out) == []


@pytest.mark.parametrize("packed", [False, True])
def test_a_full_disk_ends_in_a_failure_that_says_so(big: Source, out: Path, packed: bool) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    try:
        with pytest.raises(ExportFailed, match="disk is full"):
            run_export(replace(PLAN, gzip=packed), big, NOW, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(out) == []


def test_a_folder_that_cannot_be_made_is_told(big: Source, out: Path) -> None:
    (out / str(CHAIN)).write_text("a file, where a folder must be")
    with pytest.raises(ExportFailed, match="cannot be written"):
        run_export(PLAN, big, NOW, out)


def test_a_missing_table_fails_for_good(big: Source, out: Path) -> None:
    with pytest.raises(ExportFailed, match="table or view does not exist"):
        run_export(PLAN, replace(big, table="gone"), NOW, out)


def test_a_server_that_dies_in_mid_export_is_worth_another_try(out: Path) -> None:
    need(servers.missing_postgres())
    with servers.postgres() as server:
        engine = sa.create_engine(server.url)
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "CREATE TABLE big AS SELECT i, repeat('secret ', 40) AS note FROM generate_series(1, 100000) i"
            )
        engine.dispose()
        source = Source(chain=1, index="users", table="big", url=server.url)

        def shoot(rows: int, size_bytes: int) -> None:
            if rows >= 2 * run.STEP and server.process.poll() is None:
                server.process.send_signal(signal.SIGQUIT)  # an immediate shutdown
                server.process.wait(10)

        with pytest.raises(ExportUnavailable) as caught:
            run_export(PLAN, source, NOW, out, shoot)
        assert "secret" not in repr(caught.value)
        with pytest.raises(ExportUnavailable, match="does not answer"):
            run_export(PLAN, source, NOW, out)
    assert files(out) == []


def test_a_statement_that_is_cut_off_is_worth_another_try(
    big_postgres: Source, out: Path, postgres: servers.Server
) -> None:
    engine = sa.create_engine(postgres.url, isolation_level="AUTOCOMMIT")

    def cut(rows: int, size_bytes: int) -> None:
        if rows >= 2 * run.STEP:
            with engine.connect() as connection:
                connection.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE starts_with(query, 'COPY')"
                )

    with pytest.raises(ExportUnavailable):
        run_export(PLAN, big_postgres, NOW, out, cut)
    engine.dispose()
    assert files(out) == []


SCRIPT = """
import re, sys, time
from datetime import UTC, datetime
from pathlib import Path
from timeball.export.formats import Format
from timeball.export.run import Plan, run_export
from timeball.export.sources import Source
url, out, table, kind, pause = sys.argv[1:6]
source = Source(chain=1764, index="users", table=table, url=url, chain_column="chain_id")
def told(rows, size):
    if 20_000 <= rows < 30_000:
        print("running", flush=True)
        time.sleep(float(pause))
now = datetime(2026, 5, 26, tzinfo=UTC)
result = run_export(Plan("7", 1, Format(kind)), source, now, Path(out), told)
# not ru_maxrss, which a child inherits from the process that forked it
peak_kib = re.search("VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
print(result.rows, int(peak_kib) // 1024, flush=True)
"""


def started(source: Source, out: Path, *more: str) -> subprocess.Popen[str]:
    assert source.url
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, source.url, out, *more], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("where", ["big", "big_postgres"])
def test_kill_9_leaves_no_half_file_behind_a_name(
    where: str, request: pytest.FixtureRequest, out: Path
) -> None:
    source: Source = request.getfixturevalue(where)
    process = started(source, out, "big", "csv", "60")
    assert process.stdout
    with process.stdout:
        assert process.stdout.readline() == "running\n"
        process.kill()
        process.wait()
    assert [name[:6] for name in files(out)] == [".part-"]
    again = run_export(replace(PLAN, attempt=2), source, NOW, out)
    assert again.rows == ROWS
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    assert janitor(out, long_ago, lambda place: place.run in (1, 2)).parts == 0
    assert janitor(out, long_ago, lambda place: place.run == 2).parts == 1
    assert files(out) == [again.name]


@pytest.mark.parametrize(
    ("where", "kind"), [("big", "csv"), ("big_postgres", "csv"), ("big_postgres", "json")]
)
def test_memory_stays_small_however_many_rows(
    where: str, kind: str, request: pytest.FixtureRequest, out: Path
) -> None:
    process = started(request.getfixturevalue(where), out, "huge", kind, "0")
    output, _ = process.communicate(timeout=60)
    rows, peak_mib = map(int, output.split()[1:])
    assert rows == 3 * ROWS
    assert peak_mib < 120


def test_a_reader_sees_the_whole_file_or_none(big: Source, out: Path) -> None:
    """The name appears at once with all its bytes, though it is looked at all the time."""
    final = out / str(CHAIN) / "7" / "1" / "Users_Export-7.csv"
    sizes: set[int] = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            if final.exists():
                sizes.add(final.stat().st_size)
            time.sleep(0.001)

    watcher = threading.Thread(target=look)
    watcher.start()
    result = run_export(PLAN, big, NOW, out)
    sizes.add(final.stat().st_size)
    done.set()
    watcher.join()
    assert sizes == {result.size_bytes}


def test_a_retry_exports_the_same_window(place: Callable[[str], Source], out: Path) -> None:
    """Relative rules count from the run's instant, not from the clock."""
    rule = {"field_name": "created_at", "field_type": "date", "operator": "relative_less_than"}
    rule |= {"time_factor": "day", "time_amount": 1}
    whole = {"index": "users", "join": "all", "chain_id": CHAIN, "rules": [rule]}
    plan = replace(PLAN, segment=json.dumps(whole))
    source = replace(place("sqlite-spaced"), order_by=("id",))
    first = run_export(plan, source, NOW, out)
    second = run_export(replace(plan, attempt=2), source, NOW, out)
    other = run_export(replace(plan, attempt=3), source, NOW - timedelta(days=9), out)
    assert first.sha256 == second.sha256 != other.sha256

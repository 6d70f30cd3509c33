"""/livez says that the process lives; /readyz says in words what is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from api.app import create_app
from tests.api.conftest import Api
from timeball.dispatch.house import House
from timeball.settings import Settings
from timeball.store import keys, pumps, roll


def missing(api: Api) -> list[str]:
    answer = api("GET", "/readyz")
    faults: list[str] = answer.json.get("missing", [])
    assert answer.status_code == (503 if faults else 200)
    return faults


def test_a_live_process_says_so(nobody: Api) -> None:
    answer = nobody("GET", "/livez")
    assert (answer.status_code, answer.json) == (200, {"status": "alive"})


def test_nobody_there(nobody: Api) -> None:
    worker, beat = missing(nobody)
    assert "worker" in worker
    assert "beat" in beat


def test_with_a_worker_and_a_leading_beat_all_is_ready(nobody: Api, house: House) -> None:
    roll.sign_in(house.client, "worker", "w", {})
    assert len(missing(nobody)) == 1
    roll.sign_in(house.client, "beat", "b", {"leads": False})
    assert len(missing(nobody)) == 1
    roll.sign_in(house.client, "beat", "b", {"leads": True})
    assert missing(nobody) == []
    assert nobody("GET", "/readyz").json == {"status": "ready"}


def test_a_pump_that_is_awake_is_a_worker(nobody: Api, house: House) -> None:
    pumps.claim(house.client, keys.prefix(0), "pump", 0, 1, 1)
    assert len(missing(nobody)) == 1


def test_an_unsafe_store_is_told_unless_it_is_allowed(
    nobody: Api, house: House, settings: Settings
) -> None:
    roll.sign_in(house.client, "worker", "w", {})
    roll.sign_in(house.client, "beat", "b", {"leads": True})
    house.client.config_set("maxmemory", "100mb")
    house.client.config_set("maxmemory-policy", "allkeys-lru")
    house.client.config_set("appendonly", "no")
    try:
        evicting, no_file = missing(nobody)
        assert "noeviction" in evicting
        assert "append-only" in no_file
        careless = create_app(replace(settings, allow_unsafe_redis=True))
        assert missing(Api(careless, None)) == []
    finally:
        house.client.config_set("maxmemory", "0")
        house.client.config_set("maxmemory-policy", "noeviction")
        house.client.config_set("appendonly", "yes")


def test_no_store_and_no_secret_are_told(tmp_path: Path, settings: Settings) -> None:
    away = replace(settings, redis_url=f"unix://{tmp_path}/away.sock")
    assert missing(Api(create_app(away), None)) == ["the store cannot be reached"]
    (fault,) = missing(Api(create_app(replace(settings, secret=None)), None))
    assert "TIMEBALL_SECRET" in fault

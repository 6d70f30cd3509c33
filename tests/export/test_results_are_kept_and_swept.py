"""Stores take a finished file whole, hand it out, and the janitor sweeps what nobody points at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
import requests
from moto import mock_aws

from timeball.errors import NotFound
from timeball.export.failures import ExportFailed, ExportUnavailable
from timeball.export.storage import LocalStore, S3Store, Sweep, janitor

KEY = "1764/12345/1/Wallet_Export-12345.csv"
OLD = datetime(2026, 5, 1, tzinfo=UTC)


def spooled(folder: Path, size_bytes: int = 100) -> Path:
    path = folder / "spooled"
    path.write_bytes(b"x" * size_bytes)
    return path


def test_a_folder_takes_a_file_and_opens_it(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    path = spooled(tmp_path)
    store.publish(path, KEY)
    assert not path.exists()
    assert store.open(KEY).read_bytes() == b"x" * 100
    assert store.url(KEY, timedelta(hours=1)) is None
    store.delete(KEY)
    store.delete(KEY)
    with pytest.raises(NotFound, match="gone"):
        store.open(KEY)


def test_a_file_that_is_already_in_its_place_stays(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    path = tmp_path / KEY
    path.parent.mkdir(parents=True)
    path.write_text("here")
    store.publish(path, KEY)
    assert store.open(KEY).read_text() == "here"


@pytest.mark.parametrize(
    "key", ["../../etc/passwd", "/etc/passwd", "1/2/3/..", "1/../../x", "1/2/3", "1//3/4", "1/2/3/a\\b", ""]
)  # fmt: skip
def test_a_key_never_leaves_its_folder(key: str, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    for call in (store.open, store.delete, lambda k: store.publish(spooled(tmp_path), k)):
        with pytest.raises(NotFound):
            call(key)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "1764").write_text("a file, where a folder must be")
    with pytest.raises(ExportFailed, match="cannot be written"):
        LocalStore(tmp_path).publish(spooled(tmp_path), KEY)


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="exports")
        yield


@pytest.mark.parametrize("size_bytes", [100, 17 * 1024 * 1024])
def test_a_bucket_takes_a_file_in_one_part_or_more(
    amazon: None, tmp_path: Path, size_bytes: int
) -> None:
    store = S3Store("exports", prefix="/timeball/", region="us-east-1")
    path = spooled(tmp_path, size_bytes)
    store.publish(path, KEY)
    assert not path.exists()
    client = boto3.client("s3", region_name="us-east-1")
    head = client.head_object(Bucket="exports", Key=f"timeball/{KEY}")
    assert head["ContentLength"] == size_bytes
    store.delete(KEY)
    assert client.list_objects_v2(Bucket="exports")["KeyCount"] == 0


def test_a_bucket_that_is_not_there_refuses_for_good(amazon: None, tmp_path: Path) -> None:
    path = spooled(tmp_path)
    with pytest.raises(ExportFailed, match="refused") as caught:
        S3Store("elsewhere", region="us-east-1").publish(path, KEY)
    assert caught.value.code == "NoSuchBucket"
    assert path.exists()


def test_a_presigned_link_gives_the_file_under_its_name(amazon: None, tmp_path: Path) -> None:
    store = S3Store("exports", region="us-east-1")
    store.publish(spooled(tmp_path), KEY)
    link = store.url(KEY, timedelta(hours=1))
    assert link
    assert "X-Amz-Expires=3600" in link
    answer = requests.get(link, timeout=10)
    assert answer.content == b"x" * 100
    assert 'filename="Wallet_Export-12345.csv"' in answer.headers["Content-Disposition"]


def test_a_bucket_that_does_not_answer_is_worth_another_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    store = S3Store("exports", endpoint_url="http://127.0.0.1:1", region="us-east-1")
    with pytest.raises(ExportUnavailable, match="does not answer"):
        store.publish(spooled(tmp_path), KEY)


def test_the_janitor_goes_by_what_is_wanted_and_by_age_where_nobody_can_tell(
    tmp_path: Path,
) -> None:
    old, new = OLD - timedelta(hours=2), OLD + timedelta(hours=2)

    def make(key: str, at: datetime) -> Path:
        path = tmp_path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 10)
        os.utime(path, (at.timestamp(), at.timestamp()))
        os.utime(path.parent, (at.timestamp(), at.timestamp()))
        return path

    kept = [
        make("1/1/1/Users_Export-1.csv", old),
        make("1/2/1/.part-abc", old),
        make("1/3/1/Users_Export-3.csv", new),
        make(".part-young", new),
        make("1/six/1/Users_Export-6.csv", new),
    ]
    gone = [
        make("1/4/1/.part-def", new),
        make("1/5/1/Users_Export-5.csv", new),
        make("1/2/2/.part-ghi", new),
        make(".part-old", old),
        make("1/six/1/Users_Export-7.csv", old),
    ]
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    os.utime(outside / "precious", (old.timestamp(), old.timestamp()))
    (tmp_path / "1" / "link").symlink_to(outside, target_is_directory=True)
    wanted = {(1, 1), (2, 1), (3, 1)}
    swept = janitor(tmp_path, OLD, lambda place: (place.export, place.run) in wanted)
    assert swept == Sweep(parts=3, results=2, size_bytes=50)
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in gone)
    assert (outside / "precious").exists()


def test_the_janitor_takes_folders_that_stay_empty(tmp_path: Path) -> None:
    for name in ("empty", "young"):
        (tmp_path / "1" / name).mkdir(parents=True)
    os.utime(tmp_path / "1" / "empty", (OLD.timestamp() - 9, OLD.timestamp() - 9))
    assert janitor(tmp_path, OLD, lambda place: False) == Sweep()
    assert [path.name for path in (tmp_path / "1").iterdir()] == ["young"]


def test_a_folder_that_is_not_there_is_clean(tmp_path: Path) -> None:
    assert janitor(tmp_path / "no", OLD, lambda place: False) == Sweep()

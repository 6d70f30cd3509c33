"""With a bucket the file is uploaded, and the link is the bucket's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from moto import mock_aws

from tests.spaaza.conftest import Spaaza
from timeball.dispatch import export_files
from timeball.dispatch.house import House
from timeball.settings import Settings
from timeball.store import clock


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="exports")
        yield client


@pytest.fixture
def settings(settings: Settings, bucket: Any) -> Settings:
    """Settings with a bucket."""
    return replace(
        settings,
        exports_bucket="exports",
        exports_bucket_prefix="tb",
        exports_region="us-east-1",
    )


def test_a_file_goes_to_the_bucket_and_its_link_is_signed(
    api: Spaaza, work: Callable[[], int], house: House, bucket: Any
) -> None:
    made = api.create()
    work()
    [kept] = bucket.list_objects_v2(Bucket="exports")["Contents"]
    assert kept["Key"] == f"tb/1764/{made['id']}/1/User_Export-{made['id']}.csv"
    assert not [p for p in export_files.spool(house.settings).rglob("*") if p.is_file()]
    url = urlsplit(api("GET", f"/tasks/{made['id']}/download_url").json["url"])
    assert url.path.endswith(kept["Key"])
    assert parse_qs(url.query)["X-Amz-Expires"] == ["3600"]
    clock.advance(house.client, 1, timedelta(days=8))
    export_files.sweep(house, 10)
    assert "Contents" not in bucket.list_objects_v2(Bucket="exports")
    assert api("GET", f"/tasks/{made['id']}/download_url").status_code == 410


def test_a_bucket_that_is_not_there_ends_in_error(
    api: Spaaza, work: Callable[[], int], bucket: Any
) -> None:
    bucket.delete_bucket(Bucket="exports")
    made = api.create()
    work()
    now = api.get(made)
    assert now["state"]["code"] == "ERROR"
    assert now["logs"][0]["message"] == "the bucket refused the file"

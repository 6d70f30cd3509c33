"""Where finished exports are kept: a folder, or an S3-compatible bucket; and who sweeps up.

An export is spooled on the local disk first, so the spool needs as much room as the file.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from timeball.errors import NotFound
from timeball.export.failures import ExportFailed, ExportUnavailable, of_disk

PART = ".part-"
"""How the name of an unfinished file begins."""


class Store(Protocol):
    """Keeps results under keys of the form chain/task/attempt/name."""

    def publish(self, path: Path, key: str) -> None:
        """Move the finished file at `path` to `key`, whole or not at all. Raises ExportError."""

    def url(self, key: str, ttl: timedelta) -> str | None:
        """A link that gives the file to whoever has it, for `ttl`; None when the API must serve it itself."""

    def delete(self, key: str) -> None:
        """Forget the key; no error if there is none."""


class LocalStore:
    """A folder. Its files are served by our own API, by the tokens of `timeball.export.links`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def publish(self, path: Path, key: str) -> None:
        final = self._path(key)
        try:
            if path.resolve() == final.resolve():
                return
            final.parent.mkdir(parents=True, exist_ok=True)
            part = final.with_name(f"{PART}{uuid.uuid4().hex}")
            try:
                shutil.move(path, part)  # a rename, or a copy when the spool is another volume
                with part.open("rb") as file:
                    os.fsync(file.fileno())
                part.replace(final)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise of_disk(error) from None

    def url(self, key: str, ttl: timedelta) -> str | None:
        return None

    def open(self, key: str) -> Path:
        """The path of the key's file, to be sent. Raises NotFound when retention has removed it."""
        path = self._path(key)
        if not path.is_file():
            raise NotFound("the file of this export is gone")
        return path

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if len(parts) != 4 or any(p in ("", ".", "..") or "\\" in p or "\0" in p for p in parts):
            raise NotFound("there is no such file")
        return self.root.joinpath(*parts)


class S3Store:
    """A bucket of S3 or of anything that speaks its protocol. boto3 finds the credentials its own way.

    An upload is invisible until it is complete.
    """

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str = "",
        endpoint_url: str | None = None,
        region: str | None = None,
    ) -> None:
        boto3: Any = importlib.import_module("boto3")  # here: it takes half a second and 40 MiB
        transfer: Any = importlib.import_module("boto3.s3.transfer")
        config: Any = importlib.import_module("botocore.config")
        self._bucket = bucket
        self._prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
        self._client = boto3.client(
            "s3",
            endpoint_url=endpoint_url,
            region_name=region,
            config=config.Config(
                signature_version="s3v4",
                retries={"mode": "standard", "max_attempts": 5},
                connect_timeout=10,
                read_timeout=60,
            ),
        )
        mebibyte = (
            1024 * 1024
        )  # two parts of 16 MiB in flight bound the memory; 10,000 parts make 156 GiB
        self._transfer = transfer.TransferConfig(
            multipart_threshold=16 * mebibyte, multipart_chunksize=16 * mebibyte, max_concurrency=2
        )

    def publish(self, path: Path, key: str) -> None:
        try:
            self._client.upload_file(
                str(path), self._bucket, self._prefix + key, Config=self._transfer
            )
        except OSError as error:
            raise of_disk(error) from None
        except Exception as error:
            raise _of_s3(error) from None
        path.unlink(missing_ok=True)

    def url(self, key: str, ttl: timedelta) -> str | None:
        name = key.rpartition("/")[2]
        link: str = self._client.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._bucket,
                "Key": self._prefix + key,
                "ResponseContentDisposition": f'attachment; filename="{name}"',
            },
            ExpiresIn=int(ttl.total_seconds()),
        )
        return link

    def delete(self, key: str) -> None:
        try:
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)
        except Exception as error:
            raise _of_s3(error) from None


def _of_s3(error: Exception) -> ExportFailed | ExportUnavailable:
    # upload_file wraps the answer in its own S3UploadFailedError and keeps the cause as context
    answer = getattr(error, "response", None) or getattr(error.__context__, "response", None) or {}
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = str(answer.get("Error", {}).get("Code", type(error).__name__))
    if 400 <= status < 500 and status not in (408, 429):
        return ExportFailed("the bucket refused the file", code)
    if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
        return ExportFailed("there are no credentials for the bucket", code)
    return ExportUnavailable("the bucket does not answer", code)


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a janitor removed: files left by dead exports, results that no task points at, and their bytes."""

    parts: int = 0
    results: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file of a run lies below the folder: its name ends a key of the form chain/task/run/name."""

    chain: int
    export: int
    run: int
    key: str

    @classmethod
    def of(cls, key: str) -> Place | None:
        """The place that a path below the folder is; None when no run writes there."""
        found = _PLACE.fullmatch(key)
        return cls(int(found[1]), int(found[2]), int(found[3]), key) if found else None


_PLACE = re.compile(r"([0-9]{1,18})/([0-9]{1,18})/([0-9]{1,18})/[^/]+")


def janitor(out_dir: Path, older_than: datetime, is_wanted: Callable[[Place], bool]) -> Sweep:
    """Remove what nobody wants, part files first, then empty folders last written before `older_than` (aware).

    `is_wanted` says of a run's file whether the run goes on or a task points at the file: it is asked after the
    file was seen, and its word holds however old the file is. A file in no run's place goes by its age alone.
    """
    parts = results = size_bytes = 0
    for only_parts in (True, False):
        for path in _files(out_dir):
            part = path.name.startswith(PART)
            if part is not only_parts:
                continue
            place = Place.of(path.relative_to(out_dir).as_posix())
            if is_wanted(place) if place is not None else _written(path) >= older_than:
                continue
            try:
                size = path.lstat().st_size
                path.unlink()
            except FileNotFoundError:
                continue
            parts, results = parts + part, results + (not part)
            size_bytes += size
    for folder, _, _ in os.walk(out_dir, topdown=False):
        path = Path(folder)
        if path != out_dir and _written(path) < older_than:
            try:
                path.rmdir()
            except OSError:
                continue  # not empty
    return Sweep(parts, results, size_bytes)


def _files(out_dir: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(out_dir):
        for name in names:
            yield Path(folder, name)


def _written(path: Path) -> datetime:
    try:
        return datetime.fromtimestamp(path.lstat().st_mtime, UTC)
    except FileNotFoundError:
        return datetime.max.replace(tzinfo=UTC)

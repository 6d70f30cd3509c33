"""The files of exports: where they are kept, the links to them, what beat sweeps up, the call about an end."""

from __future__ import annotations

import hashlib
import threading
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import orjson

from timeball import logs
from timeball.dispatch import exports as verbs
from timeball.dispatch import intake
from timeball.dispatch.house import House
from timeball.errors import Conflict, NotFound, TimeballError
from timeball.export import links
from timeball.export.storage import LocalStore, Place, S3Store, Store, Sweep, janitor
from timeball.model.export import Code, Export, Result
from timeball.model.task import BodyKind, Draft, Request, State
from timeball.settings import Settings
from timeball.store import chains, codec, exports, projects, pumps
from timeball.store.exports import Kept

STRANGER_LIFE = timedelta(seconds=15)
"""So old a file or empty folder must be to be swept when its place does not say whose it is."""
SWEEP_PAGE = 500

log = logs.get(__name__)


class Gone(NotFound):
    """The file was there, and is past retention."""


@cache
def open_store(settings: Settings) -> Store:
    """Where finished exports are kept."""
    if settings.exports_bucket is None:
        return LocalStore(spool(settings))
    return S3Store(
        settings.exports_bucket,
        prefix=settings.exports_bucket_prefix,
        endpoint_url=settings.exports_endpoint,
        region=settings.exports_region,
    )


def spool(settings: Settings) -> Path:
    """The folder where exports are written."""
    return Path(settings.exports_dir).resolve()


def download_url(house: House, export: Export, key_id: str) -> str:
    """A link to the file of an export, good for an hour and as long as the key: a path where we serve it.

    Raises Conflict before there is a file, Gone when it is past retention.
    """
    result, found = file_of(house, export)
    if isinstance(found, str):
        return found
    secret = _link_secret(house, key_id, export.project)
    if secret is None:
        raise NotFound("the key is no more")
    chain, number, run, name = result.key.split("/")
    link = links.Link(int(chain), number, int(run), name)
    return f"/files/{name}?token={key_id}.{links.sign(link, [secret], _now(house, export.project))}"


def file_of(house: House, export: Export) -> tuple[Result, Path | str]:
    """The result of an export, and where it is: a path of ours, or a link of the bucket's for an hour.

    Raises Conflict before there is a file, Gone when it is past retention.
    """
    result, store = _result(house, export), open_store(house.settings)
    found = store.url(result.key, links.LINK_TTL)
    if found is not None:
        return result, found
    assert isinstance(store, LocalStore)
    try:
        return result, store.open(result.key)
    except NotFound:
        raise Gone("the file is past retention: execute the task again") from None


def _result(house: House, export: Export) -> Result:
    ready = export.code is Code.DONE or (export.code is Code.READY and export.order.repeat)
    if export.result is None or not ready:
        raise Conflict(f"the task is {export.code}: there is a file once it is DONE")
    if _now(house, export.project) - export.result.at > house.settings.retention_exports:
        raise Gone("the file is past retention: execute the task again")
    return export.result


def opened(house: House, token: str, name: str) -> tuple[Path, Result]:
    """The file that a token gives, and what is known of it. Raises NotFound, Gone."""
    key_id, _, signed = token.partition(".")
    refused = NotFound("this link is not one of ours, has expired, or its key was revoked")
    owner = projects.owner_of(house.client, key_id)
    secret = None if owner is None else _link_secret(house, key_id, owner)
    if owner is None or secret is None:
        raise refused
    link = links.read(signed, [secret], _now(house, owner))
    if isinstance(link, links.Refusal) or link.name != name:
        raise refused
    export = verbs.get(house, owner, int(link.task), 0)
    store = open_store(house.settings)
    result = export.result
    if result is None or result.key != link.key or not isinstance(store, LocalStore):
        raise Gone("the file of this link is gone: ask for a new link")
    try:
        return store.open(link.key), result
    except NotFound:
        raise Gone("the file is past retention: execute the task again") from None


def _link_secret(house: House, key_id: str, project: str) -> str | None:
    master = house.settings.secret or ""
    return chains.link_secret(house.client, master, key_id, project)


def _now(house: House, project: str) -> datetime:
    return codec.from_ms(pumps.clock(house.client, house.prefix(project))[0])


def tell(house: House, export: Export) -> None:
    """Submit the call about the end of a run, if one was asked for; once, however often this is called."""
    wanted = export.order.target.get("notify")
    if wanted is None:
        return
    said = {
        "id": export.number,
        "chain": export.order.chain,
        "code": export.code,
        "desc": export.order.desc,
        "result": export.result.name if export.result else "",
        "rows": export.result.rows if export.result else None,
        "bytes": export.result.size_bytes if export.result else None,
        "sha256": export.result.sha256 if export.result else None,
    }
    once = hashlib.sha256(f"export {export.id.hex()} {export.attempt}".encode()).hexdigest()
    headers = tuple(wanted.get("headers", {}).items())
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers = (("Content-Type", "application/json"), *headers)
    request = Request(
        wanted["url"], headers=headers, body=orjson.dumps(said), body_kind=BodyKind.JSON
    )
    draft = Draft(
        project=export.project,
        request=request,
        key_id=export.order.key_id,
        idempotency_key=once[:32],
        fingerprint=once,
    )
    intake.submit(house, export.project, [draft])


def sweep(house: House, fence: int) -> None:
    """Remove files of dead workers, files that nothing points at, results and exports past retention."""
    if exports.fence(house.client) > fence:
        return
    root = spool(house.settings)
    if root.is_dir():
        older_than = datetime.now(UTC) - STRANGER_LIFE
        swept = janitor(root, older_than, lambda place: _is_wanted(house, place))
        if swept != Sweep():
            log.info(
                "swept the folder of exports",
                parts=swept.parts,
                results=swept.results,
                bytes=swept.size_bytes,
            )
    for project in projects.project_ids(house.client):
        _sweep_project(house, project)


class Broom:
    """Sweeps in a thread of its own: thousands of files must not hold beat up.

    Asked while it sweeps, it sweeps once more: what it is asked for may lie where it has been.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = 0
        self._busy = False

    def sweep(self, house: House, fence: int) -> None:
        """Have the folder swept from now on."""
        with self._lock:
            self._asked += 1
            if self._busy:
                return
            self._busy = True
        threading.Thread(target=self._run, args=(house, fence), name="sweep", daemon=True).start()

    def _run(self, house: House, fence: int) -> None:
        while True:
            asked = self._asked
            try:
                sweep(house, fence)
            except TimeballError as error:
                log.warning("the exports could not be swept", error=str(error))
            except Exception as error:
                log.error("the sweep of exports broke", exc_info=error)
            with self._lock:
                if self._asked == asked:
                    self._busy = False
                    return


_broom = Broom()


def sweep_beside(house: House, fence: int) -> None:
    """Sweep beside beat's other duties."""
    _broom.sweep(house, fence)


def _sweep_project(house: House, project: str) -> None:
    prefix, now = house.prefix(project), _now(house, project)
    start = 0
    while wanted := exports.page(house.client, prefix, project, start, SWEEP_PAGE):
        start += SWEEP_PAGE
        for kept in exports.read(house.client, prefix, wanted, 0):
            running = kept.task is not None and kept.task.state is State.RUNNING
            if running:
                continue
            if kept.owed:
                tell(house, verbs.get(house, project, kept.number))
                exports.note(
                    house.client, prefix, kept.id, codec.from_ms(kept.modified_ms), drop=("owed",)
                )
            if kept.result is not None and not kept.expired:
                _expire(house, project, kept, now)
            idle = now - codec.from_ms(kept.modified_ms)
            if kept.task is None and idle > house.settings.retention_failed:
                exports.forget(house.client, prefix, project, kept.id)


def _expire(house: House, project: str, kept: Kept, now: datetime) -> None:
    assert kept.result is not None
    if now - kept.result.at <= house.settings.retention_exports:
        return
    open_store(house.settings).delete(kept.result.key)
    modified = codec.from_ms(kept.modified_ms)
    exports.note(house.client, house.prefix(project), kept.id, modified, fields={"expired": 1})
    log.info("an export's file is past retention", export=kept.number, project=project)


def _is_wanted(house: House, place: Place) -> bool:
    """Whether an export points at a file, or the run that writes it has the lease still.

    A run begins before its folder does, so what lies there of a run that has no lease is not written any more,
    or in vain.
    """
    try:
        project = chains.find(house.client, place.chain)
        prefix = house.prefix(project)
        export_id = exports.id_of(house.client, prefix, project, place.export)
    except NotFound:
        return False
    results, run = exports.files_of(house.client, prefix, export_id)
    return run == place.run or place.key in results

"""Every kind of trouble that the table knows: what is done to a stack while tasks flow."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from bench.load import task
from bench.stack import PROGRAM
from tests.conftest import eventually
from tests.faults.ledger import Kill, Promise
from tests.faults.scene import Scene, nodes
from tests.receiver import Answer, Received, Receiver

Make = Callable[[Scene], None]


@dataclass(frozen=True, slots=True)
class Trouble:
    """One kind. After a `crash` a call may come twice; without one none may.

    `servers` names stores of its own that the stack needs: `store`, `broker`, `small` (a full disk), `clock`.
    """

    words: str
    crash: bool
    make: Make
    servers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.make.__name__


TROUBLES: list[Trouble] = []


def trouble(words: str, *servers: str, crash: bool) -> Callable[[Make], Make]:
    """Enter a kind into the table under these words."""

    def enter(make: Make) -> Make:
        TROUBLES.append(Trouble(words, crash, make, servers))
        return make

    return enter


# -- processes die ----------------------------------------------------------------------------------


@trouble("a pool process of a worker is killed, three times", crash=True)
def pool_process(scene: Scene) -> None:
    for at in (1, 3.5, 6):
        scene.around(at)
        scene.strike([scene.chance.choice(nodes(scene, "worker"))], "worker")


@trouble("a worker's main process is killed", crash=True)
def worker(scene: Scene) -> None:
    scene.around(3)
    scene.strike(scene.members("worker")[:1], "worker")


@trouble("all processes of the workers are killed at once", crash=True)
def workers(scene: Scene) -> None:
    scene.around(3)
    scene.strike(scene.members("worker"), "worker")


@trouble("the API is killed, twice", crash=True)
def api(scene: Scene) -> None:
    for at in (1.5, 5):
        scene.around(at)
        scene.strike(scene.members("api"), "api")


@trouble("a beat is killed, then the other", crash=True)
def one_beat(scene: Scene) -> None:
    for n, at in enumerate((1.5, 5)):
        scene.around(at)
        scene.strike([scene.members("beat")[n]], "beat")


@trouble("both beats are killed at once", crash=True)
def beats(scene: Scene) -> None:
    scene.around(3)
    scene.strike(scene.members("beat"), "beat")


@trouble("the store is killed, twice", crash=True)
def store(scene: Scene) -> None:
    for at in (1.5, 5):
        scene.around(at)
        scene.strike(scene.members("redis"), "redis")


@trouble("workers, beats and API are killed at once, and the store 50 ms later", crash=True)
def everything(scene: Scene) -> None:
    scene.around(3)
    counts = {role: len(pids) for role, pids in scene.stack.pids().items()}
    roles = ("worker", "beat", "api", "redis")
    victims = {role: scene.members(role) for role in roles}
    for role in roles:
        if role == "redis":
            time.sleep(0.05)
        for victim in victims[role]:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
    for role in roles:
        scene.stands(role, counts[role], {victim.pid for victim in victims[role]})


@trouble("`timeball up` itself is killed, and started again on its folder", crash=True)
def up(scene: Scene) -> None:
    scene.around(3)
    everybody = [p for role in scene.stack.pids() for p in scene.members(role)]
    (parent,) = [p for p in everybody if p.pid in scene.stack.pids()["up"]]
    parent.kill()
    psutil.wait_procs(everybody, timeout=15)
    assert not any(p.is_running() and p.status() != "zombie" for p in everybody)
    scene.stack.start()
    scene.ledger.kills.append(Kill(time.time(), "worker", parent.pid, 0.0))


@trouble("`timeball up` is stopped in order, and started again on its folder", crash=False)
def restart(scene: Scene) -> None:
    scene.around(3)
    scene.stack.stop(keep=True)
    scene.stack.start()


# -- at each step of the road -----------------------------------------------------------------------


def _at_point(words: str, point: str, role: str) -> None:
    def make(scene: Scene) -> None:
        for at in (1, 3, 5):
            scene.around(at)
            scene.arm(point, role)

    make.__name__ = point.replace("-", "_")
    TROUBLES.append(Trouble(words, True, make))


_at_point("the API dies before a task is taken in", "submit-before", "api")
_at_point("the API dies when a task is in the store, before bell and answer", "submit-after", "api")
_at_point("a pump dies with tasks claimed and none called", "claim-after", "worker")
_at_point("a pump dies with calls made and their ends not written", "finish-before", "worker")
_at_point("a pump dies when ends are written, before it knows", "finish-after", "worker")
_at_point("beat dies between finding due work and ringing for it", "ring-after", "beat")
_at_point("beat dies with occurrences worked out and not written", "expand-before", "beat")
_at_point("beat dies with occurrences written and no bell rung", "expand-after", "beat")


@trouble("a pump dies, and beat dies when it has given its tasks back", crash=True)
def rescue_after(scene: Scene) -> None:
    scene.around(2)
    count = len(scene.stack.pids()["worker"])
    (scene.points / "claim-after").touch()
    scene.arm("rescue-after", "beat")
    for file in scene.points.glob("claim-after.*"):
        file.unlink()
    eventually(lambda: len(scene.stack.pids()["worker"]) >= count, within=10)


# -- processes stand still --------------------------------------------------------------------------


@trouble("the workers are frozen for 30 s and go on", crash=True)
def frozen_workers(scene: Scene) -> None:
    scene.around(2)
    scene.freeze(scene.members("worker"), 30)


@trouble("one pump of two is frozen for 30 s and goes on", crash=True)
def frozen_pump(scene: Scene) -> None:
    scene.around(2)
    scene.freeze([scene.chance.choice(nodes(scene, "worker"))], 30)


@trouble("the leading beat is frozen for 10 s and goes on", crash=True)
def frozen_beats(scene: Scene) -> None:
    scene.around(1)
    scene.freeze(scene.members("beat")[:1], 10)


@trouble("the store is frozen for 6 s", crash=False)
def frozen_store(scene: Scene) -> None:
    scene.around(2)
    scene.freeze(scene.members("redis"), 6)


@trouble("the store is slow: it stands still two thirds of the time", crash=False)
def slow_store(scene: Scene) -> None:
    processes = scene.members("redis")
    while time.time() < scene.began + 7:
        scene.freeze(processes, 0.06)
        time.sleep(0.03)


@trouble("the endpoint hangs for 6 s", crash=False)
def frozen_endpoint(scene: Scene) -> None:
    scene.around(2)
    scene.freeze([psutil.Process(pid) for pid in scene.ledger.receiver.pids], 6)


# -- the store in trouble ---------------------------------------------------------------------------


@trouble("every connection to the store is cut, again and again", crash=False)
def cut_connections(scene: Scene) -> None:
    client = scene.stack.redis()
    while time.time() < scene.began + 7:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        time.sleep(0.05)


@trouble("the store is full for 3 s", crash=False)
def full_store(scene: Scene) -> None:
    client = scene.stack.redis()
    scene.around(2)
    client.config_set("maxmemory", int(client.info("memory")["used_memory"]))
    try:
        time.sleep(3)
    finally:
        client.config_set("maxmemory", 0)


@trouble("the disk under the store is full for 4 s", "small", crash=False)
def full_disk(scene: Scene) -> None:
    scene.around(2)
    filler = scene.servers["small"].folder / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"\0" * 65536):
            pass
    time.sleep(4)
    filler.unlink()


@trouble("the broker, on a server of its own, is away for 4 s", "store", "broker", crash=False)
def broker_away(scene: Scene) -> None:
    scene.around(2)
    scene.servers["broker"].kill()
    time.sleep(4)
    scene.servers["broker"].start()


@trouble("the store is away for 4 s, the broker is not", "store", "broker", crash=True)
def store_away(scene: Scene) -> None:
    scene.around(2)
    scene.servers["store"].kill()
    time.sleep(4)
    scene.servers["store"].start()


@trouble("the broker loses all it had", "store", "broker", crash=False)
def broker_empty(scene: Scene) -> None:
    client = scene.servers["broker"].client()
    for at in (1, 3, 5):
        scene.around(at)
        client.flushall()


@trouble("the clock jumps 20 s forward", "clock", crash=False)
def clock_forward(scene: Scene) -> None:
    _jump(scene, 20)


@trouble("the clock jumps 20 s back", "clock", crash=False)
def clock_back(scene: Scene) -> None:
    scene.patience = 60
    _jump(scene, -20)


def _jump(scene: Scene, seconds: int) -> None:
    scene.around(3)
    scene.ledger.jumps.append((time.time(), seconds))
    scene.servers["clock"].jump(seconds)


# -- others ---------------------------------------------------------------------------------------


@trouble("the endpoint answers 503 to all for 4 s, and 10,000 tasks storm it then", crash=False)
def storm(scene: Scene) -> None:
    scene.patience = 90
    receiver = scene.ledger.receiver
    scene.around(1)
    receiver.refuse(503)
    for _ in range(9):
        many = scene.ask("POST", "/v2/tasks/batch-create", [task(receiver.url + "/ok")] * 1000)
        now = time.time()
        scene.ledger.promises += [Promise(one["id"], now, now) for one in many]
    scene.until(5)
    assert receiver.refuse(0) > 0


@trouble("a second `timeball up` is started on the same folder", crash=False)
def second_up(scene: Scene) -> None:
    scene.around(2)
    assert scene.stack.data is not None
    words = ("up", "--data", str(scene.stack.data / "house"), "--port", "0", "--inbox-port", "0")
    second = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=30)
    assert second.returncode == 2
    assert "already runs on" in second.stderr


@trouble("a poison task: its call kills the pump that makes it, each time", crash=True)
def poison(scene: Scene) -> None:
    """The endpoint finds the process that called, and kills it instead of answering."""
    killed: list[int] = []

    def kill_caller(_: Received) -> Answer:
        for process in nodes(scene, "worker"):
            with suppress(psutil.NoSuchProcess):
                ports = {c.raddr.port for c in process.net_connections("tcp4") if c.raddr}
                if receiver.port in ports:
                    process.kill()
                    killed.append(process.pid)
        return Answer()

    scene.around(1)
    with Receiver(kill_caller) as receiver:
        path = "/v2/tasks/" + scene.ask("POST", "/v2/tasks", task(receiver.url))["id"]
        eventually(lambda: scene.ask("GET", path)["status"] == "failure", within=60, every=0.5)
    attempts = scene.ask("GET", f"{path}/attempts")
    assert [attempt["outcome"] for attempt in attempts] == ["lost"] * len(killed)
    assert len(killed) >= 3
    scene.ledger.kills.append(Kill(time.time(), "worker", killed[-1], 0.0))

"""The Celery app: its settings, the names of its jobs, and how a bell is sent.

Jobs carry shard numbers and ids only, so nothing secret reaches the broker, Flower or a log.
"""

from __future__ import annotations

from celery import Celery
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError

from timeball import broker, logs
from timeball.settings import Settings
from timeball.store import keys

PUMP_JOB = "timeball.pump"
EXPORT_JOB = "timeball.export"
PUMP_QUEUE = keys.PUMP_QUEUE
EXPORT_QUEUE = keys.EXPORT_QUEUE

_JOBS = {keys.CALL: (PUMP_JOB, PUMP_QUEUE), keys.EXPORT: (EXPORT_JOB, EXPORT_QUEUE)}

broker.harden()

log = logs.get(__name__)


def make_app(settings: Settings) -> Celery:
    """A Celery app for senders and workers alike. The reasons are in ENGINE 4.5 and docs/why."""
    app = Celery("timeball", broker=settings.broker)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=False,  # a bell is a hint: losing one costs a second, doubling one nothing
        task_default_queue=PUMP_QUEUE,
        task_queues=tuple(Queue(name, Exchange(name), name) for name in (PUMP_QUEUE, EXPORT_QUEUE)),
        task_create_missing_queues=False,
        worker_prefetch_multiplier=1,
        worker_disable_rate_limits=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=settings.events != "off",
        worker_soft_shutdown_timeout=0,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=3,
        broker_transport_options={
            # past the furthest bell, or a waiting worker's bells would be handed out again
            "visibility_timeout": int(settings.bell_horizon.total_seconds()) + 60,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_timeout": 10,
            "socket_connect_timeout": 3,
            "socket_keepalive": not settings.broker.startswith("redis+socket"),
            "health_check_interval": 10,
            **({"master_name": settings.broker_service} if settings.broker_service else {}),
        },
        timezone="UTC",
        enable_utc=True,
    )
    return app


def send_help(app: Celery, kind: str, shard: int, life: float) -> None:
    """Ask for one more pump, if a worker process is free within `life` seconds."""
    job, queue = _JOBS[kind]
    try:
        app.send_task(job, args=(shard,), queue=queue, expires=life, retry=False)
    except (OperationalError, OSError) as error:
        log.info("the broker took no call for help", error=str(error)[:200])


def send_bell(app: Celery, kind: str, shard: int, delay: float) -> bool:
    """Ask a worker to look at a shard in `delay` seconds.

    Answers False when the broker does not take it: beat's `ring` finds the work within a second.
    """
    job, queue = _JOBS[kind]
    try:
        app.send_task(
            job,
            args=(shard,),
            queue=queue,
            countdown=delay if delay > 0.005 else None,
            expires=delay + 120,
            retry=False,
        )
    except (OperationalError, OSError) as error:
        log.warning("the broker took no bell", shard=shard, kind=kind, error=str(error)[:200])
        return False
    return True

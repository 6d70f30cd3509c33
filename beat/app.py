"""The Celery app of beat: `celery -A beat.app beat -S beat.scheduler:DutyScheduler`."""

from __future__ import annotations

from celery.signals import beat_init

from timeball import logs
from timeball.queue import make_app
from timeball.settings import load

settings = load()
app = make_app(settings)
app.conf.beat_max_loop_interval = 1


@beat_init.connect
def _configure_logs(**_: object) -> None:
    logs.configure(settings, "beat")

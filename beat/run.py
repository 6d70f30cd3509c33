"""Celery's beat with our scheduler: `python -m beat.run`, without Celery's command line, as in `workers.run`."""

from __future__ import annotations

from beat.app import app


def main() -> None:
    """Run it until it is told to stop."""
    app.Beat(
        scheduler="beat.scheduler:DutyScheduler", pidfile="", loglevel="INFO", quiet=True
    ).run()


if __name__ == "__main__":
    main()

"""A Celery worker on our app: `python -m workers.run QUEUE PROCESSES NAME`.

What `celery -A workers.app worker` does, without Celery's command line: its parsers and commands would stay in
the memory of every worker, a quarter of what one takes.
"""

from __future__ import annotations

import gc
import logging
import sys

from celery.utils.nodenames import default_nodename, host_format

from workers.app import app


def main(queue: str, processes: str, name: str) -> int:
    """Run it until it is told to stop; answers the exit code."""
    worker = app.Worker(
        hostname=host_format(default_nodename(f"{name}@%h")),
        queues=[queue],
        pool_cls="prefork",
        concurrency=int(processes),
        loglevel=logging.INFO,
        optimization="default",
        quiet=True,
        without_mingle=True,
        without_gossip=True,
    )
    gc.collect()
    gc.freeze()  # a collection writes to every object that it looks at, and so ends the sharing with the children
    worker.start()
    return worker.exitcode or 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

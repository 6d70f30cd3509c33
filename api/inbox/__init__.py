"""The inbox: a receiver that comes with Timeball, so that the first call has somewhere to go.

It records what is sent to any path, checks the signatures, shows it all on a page, and fails on request: the
query of the URL says how. It is no part of the API and never reads or changes a task.
"""

from api.inbox.app import create_inbox

__all__ = ["create_inbox"]

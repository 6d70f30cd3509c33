"""For those who are called: checks the signature, drops what came before, and says what the call is.

    from timeball.receivers import Receiver
    from timeball.receivers.flask import handler      # or .fastapi, or .django

    receiver = Receiver(secrets=["whsec_..."])         # or keys=["tb_..."] for Mergent's signature

    @app.post("/hook")
    @handler(receiver)
    def hook(call):
        charge(call.json())

What returns has been handled: 204. What raises will be tried again: 500. `raise Retry(seconds)` says when, and
`raise Stop("why")` that it need not be. The module of a framework imports that framework; this one none.
"""

from timeball.receivers.receiver import Begun, Call, Receiver, Rejected, Reply, Retry, Stop
from timeball.receivers.seen import Memory, RedisSeen, Seen, Standing

__all__ = [
    "Begun",
    "Call",
    "Memory",
    "Receiver",
    "RedisSeen",
    "Rejected",
    "Reply",
    "Retry",
    "Seen",
    "Standing",
    "Stop",
]

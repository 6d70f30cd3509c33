"""A backend in Flask: an order is handled by a task, a moment later."""

from __future__ import annotations

import os

from flask import Flask, request

from timeball.client import Timeball
from timeball.receivers import Call, Receiver
from timeball.receivers.flask import handler

PORT = int(os.environ.get("PORT", "3000"))

app = Flask(__name__)
timeball = Timeball()  # TIMEBALL_URL and TIMEBALL_KEY
receiver = Receiver(secrets=[os.environ["TIMEBALL_SIGNING_SECRET"]])


@app.post("/orders")
def order() -> dict[str, str]:
    task = timeball.tasks.create(
        f"http://localhost:{PORT}/hook", body=request.get_data(as_text=True)
    )
    return {"task": task.id}


@app.post("/hook")
@handler(receiver)
def hook(call: Call) -> None:
    print("handled", call.text, flush=True)


if __name__ == "__main__":
    app.run(host="localhost", port=PORT)

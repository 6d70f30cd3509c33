"""A backend in FastAPI: an order is handled by a task, a moment later."""

from __future__ import annotations

import os

from fastapi import FastAPI, Request
from granian import Granian
from starlette.concurrency import run_in_threadpool

from timeball.client import Timeball
from timeball.receivers import Call, Receiver
from timeball.receivers.fastapi import handler

PORT = int(os.environ.get("PORT", "3000"))

app = FastAPI()
timeball = Timeball()  # TIMEBALL_URL and TIMEBALL_KEY
receiver = Receiver(secrets=[os.environ["TIMEBALL_SIGNING_SECRET"]])


@app.post("/orders")
async def order(request: Request) -> dict[str, str]:
    text = (await request.body()).decode()
    task = await run_in_threadpool(
        timeball.tasks.create, f"http://localhost:{PORT}/hook", body=text
    )
    return {"task": task.id}


@app.post("/hook")
@handler(receiver)
async def hook(call: Call) -> None:
    print("handled", call.text, flush=True)


if __name__ == "__main__":
    Granian("app:app", address="127.0.0.1", port=PORT, interface="asgi").serve()

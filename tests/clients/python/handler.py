"""A task handler in Flask as Mergent's Python quickstart has it, told in our own words.

The traits that count are the quickstart's: the body is `request.data`, decoded; an exception is answered with 500,
everything else with an empty 200; Flask's own server runs it. It prints what it has done.
"""

from __future__ import annotations

import sys

from flask import Flask, request

app = Flask(__name__)
failed = set()


@app.route("/api/tasks", methods=["POST"])
def handle() -> tuple[str, int]:
    body = request.data.decode()
    try:
        perform(body)
    except ValueError as error:
        print("failed", error, flush=True)
        return "", 500
    return "", 200


def perform(body: str) -> None:
    """What the task is for. The first try at a body that says so fails."""
    if "fail once" in body and body not in failed:
        failed.add(body)
        raise ValueError(body)
    print("performed", body, flush=True)


if __name__ == "__main__":
    app.run(port=int(sys.argv[1]))

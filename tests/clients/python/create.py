"""Creating a task with `requests`, as Mergent's Python quickstart does: POST /tasks, no prefix, a JSON body, 201.

Reconstructed in our own words: the handler's half of that page was at hand, this half only by description.
"""

from __future__ import annotations

import json
import os
import sys

import requests

response = requests.post(
    os.environ["MERGENT_URL"] + "/tasks",
    headers={"Authorization": "Bearer " + os.environ["MERGENT_API_KEY"]},
    json={"request": {"url": sys.argv[1], "body": json.dumps({"type": sys.argv[2]})}},
)
if response.status_code != 201:
    sys.exit(f"not created: {response.status_code} {response.text}")
print(response.json()["id"])

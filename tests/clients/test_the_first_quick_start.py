"""Mergent's first quick start: curl, with the key as the user name of HTTP Basic, and a form for a body."""

from __future__ import annotations

import pytest
import requests

from tests.clients.conftest import need, run
from tests.conftest import eventually
from tests.e2e.product import Product

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("prefix", ["", "/v2"])
def test_curl_with_a_user_name_and_a_form(product: Product, prefix: str) -> None:
    need("curl")
    path = f"/curl{prefix}"
    done = run(
        *("curl", product.url + prefix + "/tasks", "-u", product.key + ":"),
        *("-d", f"request[url]={product.inbox}{path}"),
        *("--silent", "--show-error", "--write-out", "\n%{http_code}"),
    )
    assert done.stdout.splitlines()[-1] == "201", done
    (call,) = eventually(lambda: product.received(path))
    assert call["body"] == ""
    assert call["signatures"] == {"mergent": "valid", "webhook": "valid"}


def test_a_form_with_all_that_a_task_may_have(product: Product) -> None:
    form = {
        "request[url]": product.inbox + "/form",
        "request[headers][X-Shop]": "9",
        "request[body]": "a=1&b=ü",
        "name": "by form",
        "delay": "PT1S",
    }
    answer = requests.post(product.url + "/tasks", data=form, auth=(product.key, ""), timeout=10)
    assert answer.status_code == 201, answer.text
    assert answer.json()["name"] == "by form"
    (call,) = eventually(lambda: product.received("/form"))
    assert call["body"] == "a=1&b=ü"
    assert "9" in str(call["headers"])


def test_json_that_curl_calls_a_form(product: Product) -> None:
    need("curl")
    task = f'{{"request": {{"url": "{product.inbox}/json-form"}}}}'
    done = run(
        *("curl", product.url + "/tasks", "-u", product.key + ":", "-d", task),
        *("--silent", "--show-error", "--write-out", "\n%{http_code}"),
    )
    assert done.stdout.splitlines()[-1] == "201", done
    assert eventually(lambda: product.received("/json-form"))


def test_a_wrong_key_is_refused_in_mergents_shape(product: Product) -> None:
    answer = requests.get(product.url + "/tasks", auth=("no such key", ""), timeout=10)
    assert answer.status_code == 401
    assert answer.json()["message"]

"""No body, whatever its bytes and headers, is more than a clear error; the good ones are read as they are."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from api import body
from tests.api.conftest import URL, Api

NOT_JSON: dict[str, bytes] = {
    "empty": b"",
    "spaces": b" \r\n\t ",
    "nul": b"\0",
    "word": b"hello",
    "cut": b'{"request": {"url": "https://example.com"',
    "cut in a string": b'{"request": "',
    "cut in an escape": b'"\\u12',
    "trailing comma": b'{"a": 1,}',
    "trailing text": b'{"a": 1} x',
    "two values": b"{}{}",
    "single quotes": b"{'a': 1}",
    "comment": b'{"a": 1 /* one */}',
    "NaN": b'{"timeout": NaN}',
    "Infinity": b'{"timeout": Infinity}',
    "-Infinity": b'{"timeout": -Infinity}',
    "a number beyond a double": b'{"timeout": 1e999}',
    "leading zero": b'{"timeout": 01}',
    "hexadecimal": b'{"timeout": 0x10}',
    "plus": b'{"timeout": +1}',
    "bare point": b'{"timeout": .5}',
    "True": b'{"a": True}',
    "undefined": b'{"a": undefined}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-16 without mark": '{"a": 1}'.encode("utf-16-le"),
    "UTF-32": '{"a": 1}'.encode("utf-32"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "Latin-1": '{"name": "zoë"}'.encode("latin-1"),
    "overlong UTF-8": b'{"name": "\xc0\xaf"}',
    "surrogate in UTF-8": b'{"name": "\xed\xa0\x80"}',
    "lone high surrogate": b'{"name": "\\ud800"}',
    "lone low surrogate": b'{"name": "\\udc00"}',
    "surrogates reversed": b'{"name": "\\udc00\\ud800"}',
    "control character in a string": b'{"name": "a\nb"}',
    "raw nul in a string": b'{"name": "a\0b"}',
    "unknown escape": b'{"name": "\\x41"}',
    "key that is no string": b"{1: 2}",
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep and open": b"[" * 1_000_000,
    "a little too deep": b'{"request":{"url":"https://e.com","body":'
    + b"[" * 260
    + b"]" * 260
    + b"}}",
    "a key twice": b'{"delay": "1h", "request": {"url": "https://example.com"}, "delay": "2h"}',
    "a key twice within": b'{"request": {"url": "https://a.example", "url": "https://b.example"}}',
    "a key twice with spaces": b'{"name" : "a", "name"\t:\n"b"}',
    "a key twice in escapes": b'{"name": "a", "n\\u0061me": "b"}',
    "a key twice, hidden by an escaped colon": b'{"name": "a", "name": "b", "tags": ["\\u003a"]}',
    "a key twice, hidden by an escaped colon in a key": b'{"name": 1, "name": 2, "\\u003A": 3}',
    "a key twice, deep in the body": b'{"request": {"url": "http://a.test", "body": [{"a": {"b": 1, "b": 1}}]}}',
    "the empty key twice": b'{"": 1, "": 1}',
    "a number of 5,000 digits": b'{"timeout": ' + b"9" * 5000 + b"}",
    "a number of 300 digits": b'{"request": {"url": "https://e.com", "body": ['
    + b"9" * 310
    + b"]}}",
}


@pytest.mark.parametrize("raw", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_no_json_is_a_400(api: Api, raw: bytes) -> None:
    for method, path in (("POST", "/v2/tasks"), ("POST", "/tasks/batch-create")):
        for content_type in ("application/json", None, "text/plain"):
            headers = {"Content-Type": content_type} if content_type else {}
            answer = api(method, path, raw=raw, headers=headers)
            assert answer.status_code == 400, answer.text
            assert len(answer.text) < 500
    assert api("GET", "/tasks").json == []


@pytest.mark.parametrize(
    "raw", [b"[]", b"[{}]", b"null", b"true", b"1", b'"x"', b'"' + b"x" * 1000 + b'"', b"1.5e3"]
)
def test_json_that_is_no_object_is_a_422(api: Api, raw: bytes) -> None:
    answer = api("POST", "/v2/tasks", raw=raw)
    assert answer.status_code == 422
    assert "object" in answer.json["message"]


def test_json_is_read_whatever_the_content_type_says(api: Api) -> None:
    raw = json.dumps({"request": {"url": URL, "body": "a=b&c=d"}}).encode()
    for content_type in (
        None,
        "",
        "application/json; charset=utf-8",
        "application/json; charset=latin-1",
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=UTF-8",
        "text/plain",
        "application/octet-stream",
        "multipart/form-data; boundary=x",
        "application/xml",
        "nonsense",
        "a" * 5000,
    ):
        headers = {} if content_type is None else {"Content-Type": content_type}
        answer = api("POST", "/v2/tasks", raw=b" \n" + raw, headers=headers)
        assert answer.status_code == 201, content_type


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data; boundary=x", "application/xml", "text/xml", "image/png"]
)
def test_what_is_called_something_else_and_is_so_is_a_415(api: Api, content_type: str) -> None:
    answer = api("POST", "/v2/tasks", raw=b"<task/>", headers={"Content-Type": content_type})
    assert answer.status_code == 415


def test_a_compressed_body_is_a_415(api: Api) -> None:
    for encoding in ("gzip", "deflate", "br", "gzip, identity"):
        answer = api("POST", "/tasks", raw=b"\x1f\x8b", headers={"Content-Encoding": encoding})
        assert answer.status_code == 415
    plain = {"Content-Encoding": "Identity"}
    assert api("POST", "/tasks", {"request": {"url": URL}}, headers=plain).status_code == 201


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"request[url]=https://example.com&request[url]=https://b.example", 400),
        (b"request=x&request[url]=https://example.com", 400),
        (b"request[url]=https://example.com&request=x", 400),
        (b"tags[]=a&tags=b", 400),
        (b"tags=b&tags[]=a", 400),
        (b"a[b][c][d][e]=1", 400),
        (b"request[url=1", 400),
        (b"[url]=1", 400),
        (b"request[url]", 400),
        (b"request[url]=%ff", 400),
        (b"\xff=1", 400),
        (b"&".join(b"a%d=1" % n for n in range(300)), 400),
        (b"request[url]=https://example.com&nonsense=1", 422),
        (b"request[url]=ftp://x", 422),
        (b"request[]=1", 422),
        (b"request[][]=1", 422),
        (b"url=https://example.com", 422),
        (b"request[url]=https://example.com&name=a%00b", 422),
    ],
)
def test_a_form_that_cannot_be_meant_is_refused(api: Api, raw: bytes, status: int) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert api("POST", "/tasks", raw=raw, headers=headers).status_code == status


def test_a_body_without_a_length_is_read_to_its_end() -> None:
    def chunked(data: bytes) -> dict[str, Any]:
        return {"wsgi.input": io.BytesIO(data), "wsgi.input_terminated": True}

    assert body.read(chunked(b"x" * 200_000), 200_000) == b"x" * 200_000
    assert body.read(chunked(b""), 10) == b""
    with pytest.raises(RequestEntityTooLarge):
        body.read(chunked(b"x" * 200_001), 200_000)
    assert body.read({"wsgi.input": io.BytesIO(b"next request")}, 10) == b""


class Dripping(io.RawIOBase):
    """A stream that gives one byte at a time, then breaks or ends."""

    def __init__(self, data: bytes, error: Exception | None = None) -> None:
        self.data, self.error = io.BytesIO(data), error

    def read(self, size: int = -1) -> bytes:
        found = self.data.read(min(size, 1))
        if size and not found and self.error:
            raise self.error
        return found


def test_a_body_may_come_in_drops_or_break_off() -> None:
    def sent(data: bytes, length: str, error: Exception | None = None) -> dict[str, Any]:
        return {"wsgi.input": Dripping(data, error), "CONTENT_LENGTH": length}

    assert body.read(sent(b"hello", "5"), 10) == b"hello"
    assert body.read(sent(b"hello", "0"), 10) == b""
    for environ in (sent(b"hel", "5"), sent(b"hel", "5", OSError("reset"))):
        with pytest.raises(BadRequest):
            body.read(environ, 10)
    for length in ("x", "-1", "1.5", "٣", "+5"):
        with pytest.raises(BadRequest):
            body.read(sent(b"hello", length), 10)
    for length in ("11", "9" * 50):
        with pytest.raises(RequestEntityTooLarge):
            body.read(sent(b"hello", length), 10)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON, st.booleans(), st.sampled_from([None, 1]))
def test_good_json_is_read_as_the_standard_library_reads_it(
    value: object, ascii_only: bool, indent: int | None
) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode(errors="surrogatepass")
    try:
        raw.decode()
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError:
        return
    found = body.load_json(raw)
    assert found == value
    assert json.loads(body.dump_json(found)) == value


@given(st.dictionaries(st.text(alphabet='ab:"\\', max_size=3), JSON, min_size=1), st.data())
def test_a_key_given_twice_is_always_found(value: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(value)))
    pairs = [f"{json.dumps(k)}:{json.dumps(v)}" for k, v in value.items()]
    spelt = "".join(f"\\u{ord(c):04x}" for c in key) if data.draw(st.booleans()) else None
    twice = f'"{spelt}"' if spelt is not None else json.dumps(key)
    pairs.insert(data.draw(st.integers(0, len(pairs))), f"{twice} : {json.dumps(data.draw(JSON))}")
    raw = ("{" + ",".join(pairs) + "}").encode()
    with pytest.raises(BadRequest):
        body.load_json(raw)
    with pytest.raises(BadRequest):
        body.load_json(b'{"request":' + raw + b"}")


@given(st.binary(max_size=200), st.sampled_from(["", "application/x-www-form-urlencoded", "a/xml"]))
def test_any_bytes_are_read_or_refused(raw: bytes, content_type: str) -> None:
    with suppress(BadRequest, UnsupportedMediaType):
        body.load(raw, content_type)


@given(st.text(alphabet="ab[]=&%0:+", max_size=60))
def test_any_form_is_read_or_refused(text: str) -> None:
    with suppress(BadRequest):
        body.load_form(text.encode())

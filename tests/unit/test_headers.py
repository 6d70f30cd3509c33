"""Which headers a task may give its call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeball.errors import InvalidField
from timeball.headers import (
    HEADER_BYTES_LIMIT,
    HEADERS_LIMIT,
    check_header,
    check_headers,
    header_lines,
)


def words(text: str) -> list[str]:
    return text.split()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Type", "application/json; charset=utf-8"),
        ("Authorization", "Bearer abc.def-ghi"),
        ("X-Order-Id", "12345"),
        ("x_under_score", "1"),
        ("!#$%&'*+.^_`|~", "odd but legal"),
        ("X", ""),
        ("X-Tab", "a\tb"),
        ("X-Latin", "café ÿ"),
        ("X-Space", " kept "),
        ("Cookie", "a=b"),
        ("Hosts", "not Host"),
        ("X-Host", "x"),
        ("Tee", "x"),
        ("Proxy", "x"),
        ("Upgrade-Insecure-Requests", "1"),
        ("Content-Length-Hint", "5"),
    ],
)
def test_ordinary_headers_pass(name: str, value: str) -> None:
    check_header(name, value)
    assert check_headers({name: value}) == ((name, value),)


@pytest.mark.parametrize(
    "name",
    words("""Host Content-Length Transfer-Encoding TE Connection Keep-Alive Upgrade Trailer Expect HTTP2-Settings
    Proxy-Authorization Proxy-Connection Proxy-Authenticate Proxy-X Proxy- host HOST hOsT content-length
    TRANSFER-ENCODING te proxy-authorization"""),
)
def test_headers_of_the_connection_are_refused(name: str) -> None:
    with pytest.raises(InvalidField) as caught:
        check_header(name, "x")
    assert caught.value.field == f"request.headers.{name}"
    assert "connection" in caught.value.message


@pytest.mark.parametrize(
    "name",
    ["", " ", "X Y", " X", "X ", "X:", ":authority", "X\r\nHost", "X\n", "X\x00", "X\t", "Ключ", "Hést", "X/Y",
     "(X)", "X,Y", "X;Y", '"X"', "X@Y", "[X]", "{X}", "X\\Y", "X=Y", "X?", "X<", "Ｈost", "X\x7f"],
)  # fmt: skip
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    with pytest.raises(InvalidField) as caught:
        check_header(name, "x")
    assert caught.value.field == f"request.headers.{name}"


@pytest.mark.parametrize(
    "value",
    ["a\r\nX: y", "a\n", "\n", "a\rb", "\x00", "a\x00b", "\x1b[0m", "\x7f", "\x0b", "\x0c", "Ключ", "€", "\u2028",
     "😀", "\ud800"],
)  # fmt: skip
def test_a_value_that_no_line_can_hold_is_refused(value: str) -> None:
    with pytest.raises(InvalidField) as caught:
        check_header("X-Note", value)
    assert caught.value.field == "request.headers.X-Note"


def test_at_most_fifty_headers() -> None:
    most = {f"X-{n}": "v" for n in range(HEADERS_LIMIT)}
    assert len(check_headers(most)) == HEADERS_LIMIT
    with pytest.raises(InvalidField, match="51") as caught:
        check_headers(most | {"X-More": "v"})
    assert caught.value.field == "request.headers"


def test_at_most_eight_kilobytes() -> None:
    value = "v" * (HEADER_BYTES_LIMIT - len("X-Big: \r\n"))
    assert check_headers({"X-Big": value})
    with pytest.raises(InvalidField, match="8192"):
        check_headers({"X-Big": value + "v"})


def test_one_wrong_header_is_named_among_many() -> None:
    with pytest.raises(InvalidField) as caught:
        check_headers({"X-A": "1", "host": "evil", "X-B": "2"})
    assert caught.value.field == "request.headers.host"


def test_a_long_name_is_cut_in_the_answer() -> None:
    with pytest.raises(InvalidField) as caught:
        check_headers({"é" * 5000: "x"})
    assert len(caught.value.field) < 200


def test_blank_values_are_written_so_that_libcurl_sends_them() -> None:
    assert header_lines([("X-A", "1"), ("X-B", ""), ("X-C", "  "), ("X-D", "é")]) == [
        b"X-A: 1",
        b"X-B;",
        b"X-C;",
        b"X-D: \xe9",
    ]


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=10))
def test_what_passes_is_one_line_a_header(headers: dict[str, str]) -> None:
    try:
        checked = check_headers(headers)
    except InvalidField:
        return
    assert checked == tuple(headers.items())
    for line in header_lines(checked):
        assert not {0, 10, 13} & set(line)

"""The quick path of a create takes only what the schema takes, and makes the same of it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from api.mergent.errors import Rejected
from api.mergent.reader import Reader, Sender
from api.mergent.schemas import Terms
from timeball.egress import Policy
from timeball.model.task import Draft

SENDER, SENT_ONCE = Sender("p", "k"), Sender("p", "k", "i", "f")
READER = Reader(Terms(Policy.parse(["localhost"], []), body_limit_bytes=50))

TEXT = st.text(max_size=8)
ODD = (
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | TEXT | st.just([]) | st.just({})
)


def mostly(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A good value nine times of ten, else an odd one."""
    return st.integers(0, 9).flatmap(lambda n: ODD if n == 0 else good)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with any of the fields, now and then an unknown one."""
    known = st.fixed_dictionaries({}, optional=fields)
    return st.tuples(known, st.integers(0, 19), TEXT).map(
        lambda drawn: drawn[0] | ({drawn[2]: 1} if drawn[1] == 0 else {})
    )


URLS = st.sampled_from(
    [
        "https://example.com/a",
        "http://localhost:3000",
        "http://10.0.0.1/",
        "HTTPS://É.example/#x",
        "x",
    ]
)
HEADERS = st.dictionaries(
    st.sampled_from(["A", "a", "X-B", "Host", "bad name"]),
    mostly(st.sampled_from(["1", "ü", "\n"])),
)
REQUEST = some(
    url=mostly(URLS),
    method=mostly(st.sampled_from(["GET", "POST", "post"])),
    headers=mostly(HEADERS),
    body=mostly(TEXT | st.dictionaries(TEXT, TEXT, max_size=8) | st.lists(TEXT)),
    body_base64=mostly(st.sampled_from(["", "AAE=", "A"])),
)
TASK = some(
    request=mostly(REQUEST),
    name=mostly(TEXT),
    queue=mostly(st.sampled_from(["q", "a.b", "a b"])),
    scheduled_for=mostly(st.sampled_from(["2040-01-01T00:00:00Z", "2040-01-01"])),
    delay=mostly(st.sampled_from(["5s", "PT5M", "5"])),
    timeout=mostly(st.sampled_from(["5s", 5, 0, "1h"])),
    retry=mostly(some(max_attempts=st.integers(0, 5), jitter=st.floats(0, 2))),
    tags=mostly(st.lists(TEXT, max_size=3)),
    priority=mostly(st.sampled_from(["high", "low", "High"])),
    concurrency_key=mostly(TEXT),
    ordering_key=mostly(TEXT),
    on_success=st.sampled_from([None, "https://example.com/told", "nowhere"]),
)


def by_schema(data: Any) -> Draft | list[str]:
    try:
        return READER.slow(data, SENDER)
    except Rejected as rejected:
        return [fault.param for fault in rejected.faults]


@given(TASK | ODD)
@settings(max_examples=600)
def test_both_make_the_same_of_it(data: Any) -> None:
    quick, slow = READER.quick(data, SENDER), by_schema(data)
    if quick is not None:
        assert quick.whole() == slow
        for body in ("a", "b", {"c": 1}, None):  # of the second on, the rest is remembered
            other = {**data, "request": {**data["request"], "body": body}}
            again = READER.quick(other, SENT_ONCE)
            assert again is not None
            assert again.whole() == READER.slow(other, SENT_ONCE)
    elif isinstance(slow, Draft):
        # only these are left to the schema
        told = data.keys() & {"on_success", "on_failure", "on_attempt"}
        assert data.get("retry") is not None or "body_base64" in data["request"] or told
    else:
        assert slow, "a refusal names what is wrong"


def test_plain_input_takes_the_quick_path() -> None:
    plain = {
        "request": {
            "url": "https://example.com/a",
            "method": "PUT",
            "headers": {"Content-Type": "text/plain"},
            "body": "x",
        },
        "name": "n",
        "queue": "q",
        "scheduled_for": "2040-01-01T00:00:00Z",
        "delay": "5s",
        "timeout": 5,
        "tags": ["t"],
        "retry": None,
    }
    quick = READER.quick(plain, SENDER)
    assert quick is not None
    assert quick.whole() == by_schema(plain)
    assert READER.quick({"request": {"url": "https://example.com/a"}}, SENDER) is not None


def test_a_form_that_is_kept_holds_no_body() -> None:
    reader = Reader(READER.terms)
    for letter in "abc":
        reader.quick({"request": {"url": "https://example.com/a", "body": letter * 40}}, SENDER)
    [kin] = reader._forms.values()
    assert kin is not None
    assert kin.draft.body == b""

"""Signatures: against the published vectors, against the public library, and as a receiver checks them."""

from __future__ import annotations

import hmac
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from timeball.errors import InvalidField
from timeball.signing import (
    Signer,
    Verification,
    mergent_signature,
    new_secret,
    secret_bytes,
    verify_mergent,
    verify_webhook,
    webhook_signature,
)

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
STAMP = int(NOW.timestamp())
TASK = "019a4f6e-2c00-7000-8000-0123456789ab"
BODY = b'{"type":"send-email"}'


def headers_of(lines: list[bytes]) -> dict[str, str]:
    return dict(line.decode("ascii").split(": ", 1) for line in lines)


@pytest.mark.parametrize(
    ("key", "body", "signature"),
    [
        ("12345", "foo", "QjZpKdTK/iwkUWiz3seoPbJHA0I="),
        ("12345", "", "KT7FsM8VSFUliCTsf6xdxj0XaRU="),
        ("test_key_0123456789", "Hello, world!", "DFDmfIgMfcwoJ0sLOhOnSD6XSww="),
        ("test_key_0123456789", "", "azEEjXz06elmrANLVUZcAdghmck="),
        (
            "test_key_0123456789",
            '{"type":"send-email","to":"zoë@example.com"}',
            "3mtO8JfoDDaZwxMPB7f4cnhub/c=",
        ),
    ],
)
def test_mergent_signatures_match_the_published_ones(key: str, body: str, signature: str) -> None:
    raw = body.encode()
    assert mergent_signature(key, raw) == signature
    assert headers_of(Signer((), key).lines(TASK, STAMP, raw))["X-Mergent-Signature"] == signature
    assert verify_mergent(key, {"X-Mergent-Signature": signature}, raw) is Verification.VALID


def test_the_published_webhook_vector() -> None:
    # From the specification's reference libraries.
    signature = webhook_signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_call_carries_both_signatures() -> None:
    secret = new_secret()
    headers = headers_of(Signer((secret,), "key").lines(TASK, STAMP, BODY))
    assert list(headers) == [
        "webhook-id",
        "webhook-timestamp",
        "X-Mergent-Task",
        "webhook-signature",
        "X-Mergent-Signature",
    ]
    assert headers["webhook-id"] == headers["X-Mergent-Task"] == TASK
    assert headers["webhook-timestamp"] == str(STAMP)
    assert headers["webhook-signature"] == webhook_signature(secret, TASK, STAMP, BODY)
    assert headers["X-Mergent-Signature"] == mergent_signature("key", BODY)


def test_without_secrets_the_ids_still_go_out() -> None:
    assert list(headers_of(Signer(()).lines(TASK, STAMP, BODY))) == [
        "webhook-id",
        "webhook-timestamp",
        "X-Mergent-Task",
    ]


def test_the_public_library_accepts_each_live_secret() -> None:
    secrets = (new_secret(), new_secret())
    stamp = int(datetime.now(UTC).timestamp())
    headers = headers_of(Signer(secrets).lines(TASK, stamp, BODY))
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in secrets:
        assert Webhook(secret).verify(BODY, headers) == {"type": "send-email"}
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secrets[0]).verify(BODY + b" ", headers)


@given(key=st.binary(min_size=24, max_size=64), body=st.text().map(str.encode))
def test_signatures_equal_the_public_librarys(key: bytes, body: bytes) -> None:
    secret = "whsec_" + b64encode(key).decode()
    ours = headers_of(Signer((secret,)).lines(TASK, STAMP, body))["webhook-signature"]
    assert ours == Webhook(secret).sign(TASK, NOW, body.decode())


@given(key=st.text(min_size=1, max_size=200), body=st.binary(max_size=500))
def test_mergent_signatures_equal_plain_hmac(key: str, body: bytes) -> None:
    expected = b64encode(hmac.digest(key.encode(), body, "sha1")).decode()
    assert mergent_signature(key, body) == expected


def test_new_secrets_hold_32_bytes_and_differ() -> None:
    first, second = new_secret(), new_secret()
    assert first != second
    assert first.startswith("whsec_")
    assert len(secret_bytes(first)) == 32


def test_secrets_are_read_without_prefix_and_padding() -> None:
    secret = new_secret()
    bare = secret.removeprefix("whsec_").rstrip("=")
    assert secret_bytes(bare) == secret_bytes(secret)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_!!!",
        "not base64 at all",
        "whsec_" + "A" * 31,
        "whsec_é",
        "A" * 33,
        "whsec_QUJD",
        "A" * 88,
    ],
)
def test_a_secret_that_is_none_is_refused_and_never_shown(secret: str) -> None:
    with pytest.raises(InvalidField) as caught:
        secret_bytes(secret)
    assert len(secret) < 7 or secret not in caught.value.message


def signed(secrets: tuple[str, ...], at: datetime = NOW) -> dict[str, str]:
    return headers_of(Signer(secrets).lines(TASK, int(at.timestamp()), BODY))


def test_a_receiver_accepts_any_live_secret() -> None:
    old, new = new_secret(), new_secret()
    headers = signed((new, old))
    assert verify_webhook((old,), headers, BODY, NOW) is Verification.VALID
    assert verify_webhook((new_secret(), new), headers, BODY, NOW) is Verification.VALID
    shouted = {name.upper(): value for name, value in headers.items()}
    assert verify_webhook((new,), shouted, BODY, NOW) is Verification.VALID


def test_a_receiver_refuses_other_secrets_bodies_and_ids() -> None:
    secret = new_secret()
    headers = signed((secret,))
    assert verify_webhook((new_secret(),), headers, BODY, NOW) is Verification.WRONG
    assert verify_webhook((), headers, BODY, NOW) is Verification.WRONG
    assert verify_webhook((secret,), headers, BODY + b" ", NOW) is Verification.WRONG
    assert verify_webhook((secret,), headers | {"webhook-id": "x"}, BODY, NOW) is Verification.WRONG


@pytest.mark.parametrize("away", [-300, -299, 0, 299, 300])
def test_a_timestamp_within_five_minutes_is_fresh(away: int) -> None:
    secret = new_secret()
    headers = signed((secret,), NOW + timedelta(seconds=away))
    assert verify_webhook((secret,), headers, BODY, NOW) is Verification.VALID


@pytest.mark.parametrize("away", [-86400, -301, 301, 86400])
def test_a_timestamp_beyond_five_minutes_is_stale(away: int) -> None:
    secret = new_secret()
    headers = signed((secret,), NOW + timedelta(seconds=away))
    assert verify_webhook((secret,), headers, BODY, NOW) is Verification.STALE
    wide = timedelta(days=2)
    assert verify_webhook((secret,), headers, BODY, NOW, wide) is Verification.VALID


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_receiver_names_what_is_missing_or_unreadable(name: str) -> None:
    secret = new_secret()
    headers = signed((secret,))
    less = {key: value for key, value in headers.items() if key != name}
    assert verify_webhook((secret,), less, BODY, NOW) is Verification.MISSING
    assert verify_webhook((secret,), headers | {name: ""}, BODY, NOW) is Verification.MISSING


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "1.5"},
        {"webhook-timestamp": "9" * 5000},
        {"webhook-timestamp": "١٢"},
        {"webhook-signature": "v2,abc"},
        {"webhook-signature": "abc"},
        {"webhook-signature": "v1,é"},
    ],
)
def test_unreadable_headers_are_malformed(change: dict[str, str]) -> None:
    secret = new_secret()
    assert (
        verify_webhook((secret,), signed((secret,)) | change, BODY, NOW) is Verification.MALFORMED
    )


def test_a_receiver_checks_mergents_signature() -> None:
    headers = headers_of(Signer((), "key").lines(TASK, STAMP, BODY))
    assert verify_mergent("key", headers, BODY) is Verification.VALID
    assert verify_mergent("other", headers, BODY) is Verification.WRONG
    assert verify_mergent("key", headers, b"") is Verification.WRONG
    assert verify_mergent("key", {}, BODY) is Verification.MISSING
    assert verify_mergent("key", {"x-mergent-signature": "é"}, BODY) is Verification.MALFORMED

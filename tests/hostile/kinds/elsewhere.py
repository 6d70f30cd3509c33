"""Endpoints that lead elsewhere, or ask for what they should not have."""

from __future__ import annotations

from tests.hostile.kinds.kind import (
    ANSWERED,
    fixed,
    head,
)

_ELSEWHERE = {
    "redirect_to_metadata": head(302, b"Location: http://169.254.169.254/latest/meta-data/"),
    "redirect_with_the_body": head(307, b"Location: http://10.0.0.1/"),
    "redirect_to_a_file": head(301, b"Location: file:///etc/passwd"),
    "redirect_to_gopher": head(308, b"Location: gopher://127.0.0.1:6379/_FLUSHALL"),
    "redirect_to_itself": head(302, b"Location: redirect_to_itself"),
    "location_of_raw_bytes": head(302, b"Location: http://\xff\xfe\x80/"),
    "refresh": head(200, b"Refresh: 0; url=http://127.0.0.1/"),
    "other_service": head(200, b'Alt-Svc: h2="127.0.0.1:1"; ma=9999'),
    "asks_for_a_password": head(
        401, b'WWW-Authenticate: Basic realm="x"', b"WWW-Authenticate: NTLM"
    ),
    "asks_for_a_proxy_password": head(407, b"Proxy-Authenticate: Negotiate"),
    "cookies": head(
        200, *(b"Set-Cookie: a%d=%b; Domain=.com" % (n, b"x" * 500) for n in range(100))
    ),
    "retry_after_for_ever": head(503, b"Retry-After: 999999999999999999999999"),
    "retry_after_never": head(503, b"Retry-After: Thu, 99 Foo 10000 99:99:99 GMT"),
    "multiple_retry_after": head(503, b"Retry-After: -5", b"Retry-After: NaN"),
}
for _name, _answer in _ELSEWHERE.items():
    fixed(_name, ANSWERED, _answer)

"""Endpoints whose answers are no good HTTP."""

from __future__ import annotations

from tests.hostile.kinds.kind import (
    ANSWERED,
    BROKEN,
    CHUNKED,
    OK,
    fixed,
)

_FRAMES = {
    "bad_chunk_size": CHUNKED + b"zz\r\nhello\r\n",
    "chunk_size_of_twenty_digits": CHUNKED + b"F" * 20 + b"\r\nhello",
    "negative_chunk_size": CHUNKED + b"-1\r\nhello\r\n",
    "chunk_longer_than_said": CHUNKED + b"2\r\nhello\r\n0\r\n\r\n",
    "chunks_cut": CHUNKED + b"5\r\nhel",
    "negative_length": OK + b"Content-Length: -1\r\n\r\nhello",
    "length_beyond_64_bits": OK + b"Content-Length: 99999999999999999999999\r\n\r\nhello",
    "length_in_words": OK + b"Content-Length: five\r\n\r\nhello",
    "two_lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "length_and_chunks": CHUNKED[:-2] + b"Content-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "unknown_transfer_coding": OK + b"Transfer-Encoding: gzip, chunked, x\r\n\r\nhello",
    "body_shorter_than_said": OK + b"Content-Length: 50\r\n\r\nhello",
    "body_longer_than_said": OK + b"Content-Length: 2\r\n\r\nokHTTP/1.1 500 No\r\n\r\n",
    "status_and_no_more": b"HTTP/1.1 200 OK\r\n",
    "half_a_status": b"HTTP/1.1 2",
    "nothing": b"",
    "not_http": b"220 mail.example.com ESMTP\r\n",
    "noise": bytes(range(256)) * 8,
    "http_0_9": b"<html>hello</html>",
    "http_2_frames": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18,
    "tls_alert": b"\x15\x03\x03\x00\x02\x02\x46",
    "version_of_the_future": b"HTTP/3.7 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "status_of_no_digits": b"HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nok",
    "status_999": b"HTTP/1.1 999 No\r\nContent-Length: 2\r\n\r\nok",
    "switching_protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\nnoise",
    "no_content_with_content": b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
    "header_without_a_colon": OK + b"what is this\r\nContent-Length: 2\r\n\r\nok",
    "header_with_a_nul": OK + b"X-A: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "header_that_goes_on": OK + b"X-A: a\r\n b\r\n\tc\r\nContent-Length: 2\r\n\r\nok",
    "header_of_raw_bytes": OK + b"X-\xff\xfe: \x80\x81\r\nContent-Length: 2\r\n\r\nok",
    "line_feeds_alone": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
}
for _name, _answer in _FRAMES.items():
    fixed(_name, ANSWERED | BROKEN, _answer)

_NO_STATUS = {
    "status_of_five_digits": b"20000 OK",
    "status_of_four_digits": b"2000",
    "status_with_a_letter": b"200a OK",
    "status_with_a_point": b"200.1 OK",
    "status_of_zeros": b"000 OK",
    "status_below_100": b"042 OK",
}
for _name, _answer in _NO_STATUS.items():
    fixed(_name, BROKEN, b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\nok" % _answer)

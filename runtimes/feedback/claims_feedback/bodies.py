"""Bodies of requests, read to a limit; compressed ones too, whatever they would grow to."""

import zlib
from collections.abc import AsyncIterable

from starlette.requests import ClientDisconnect

from claims_feedback import answers
from claims_feedback.answers import Reason, Refused

GZIP_MAGIC = b"\x1f\x8b"
GZIP_WINDOW_BITS = 31


class _Reader:
    """Gathers a body, inflated where it is gzip, and no further than one byte over the limit."""

    def __init__(self, limit_bytes: int, *, is_gzip: bool) -> None:
        self._body = bytearray()
        self._limit_bytes = limit_bytes
        self._inflater = zlib.decompressobj(wbits=GZIP_WINDOW_BITS) if is_gzip else None

    def add(self, chunk: bytes) -> None:
        if self._inflater is not None:
            try:
                chunk = self._inflater.decompress(chunk, self._limit_bytes - len(self._body) + 1)
            except zlib.error as error:
                raise Refused(400, Reason.MALFORMED, f"The body is no gzip stream: {error}.") from error
        if len(self._body) + len(chunk) > self._limit_bytes:
            raise answers.too_large(self._limit_bytes)
        self._body += chunk

    def finish(self) -> bytes:
        if self._inflater is not None and (not self._inflater.eof or self._inflater.unused_data):
            sentence = "The gzip stream is cut off, or something follows it. Send one whole stream."
            raise Refused(400, Reason.MALFORMED, sentence)
        return bytes(self._body)


async def read(chunks: AsyncIterable[bytes], *, encoding: str, limit_bytes: int) -> bytes:
    """Return a body; raise `answers.Refused` where it is larger than the limit, cut off, or in another encoding.

    ``encoding``: the value of Content-Encoding, ``identity`` or ``gzip``; the limit is of the body decoded.
    """
    if encoding not in ("identity", "gzip"):
        raise answers.unsupported(f"Content-Encoding is `{encoding}`. Send `gzip`, or the body as it is.")
    reader = _Reader(limit_bytes, is_gzip=encoding == "gzip")
    try:
        async for chunk in chunks:
            reader.add(chunk)
    except ClientDisconnect as error:
        raise Refused(400, Reason.INCOMPLETE, "The connection ended before the body did.") from error
    return reader.finish()


def inflate(body: bytes, *, limit_bytes: int) -> bytes:
    """Return a body that may be gzip without saying so; raise as `read` does."""
    if not body.startswith(GZIP_MAGIC):
        return body
    reader = _Reader(limit_bytes, is_gzip=True)
    reader.add(body)
    return reader.finish()

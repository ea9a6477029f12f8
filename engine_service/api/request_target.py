"""The target of a request line, taken apart."""

from __future__ import annotations

import re
import urllib.parse
from functools import lru_cache
from typing import Final

import httptools

_LONGEST_KEPT: Final = 256
_AFTER_HOST: Final = re.compile(rb"[/?#]")


def target_of(url: bytes) -> tuple[str, bytes, bytes, bytes]:
    """Return path, raw path, query and the host that stands before them, empty where none does.

    Raises:
        httptools.HttpParserInvalidURLError: it is none.
    """
    return (_kept if len(url) <= _LONGEST_KEPT else _split)(url)


def _split(url: bytes) -> tuple[str, bytes, bytes, bytes]:
    parsed = httptools.parse_url(url)
    raw_path = parsed.path or b"/"
    path = raw_path.decode("ascii")
    host = b""
    if parsed.schema is not None:
        scheme, _, rest = url.partition(b"://")
        host = _AFTER_HOST.split(rest, maxsplit=1)[0]
        if scheme.lower() != b"http":
            host = scheme + b"://" + host  # a service that is not here: no name of this machine
    return urllib.parse.unquote(path) if "%" in path else path, raw_path, parsed.query or b"", host


#: Most requests go to a few routes; a long target is not kept, so that nobody can fill the memory with them.
_kept = lru_cache(maxsize=512)(_split)

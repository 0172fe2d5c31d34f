"""The `Content-Type` of stored texts: from name and first bytes, and never one that a browser executes."""

from mimetypes import MimeTypes

HEAD_BYTES = 1445  # as in the MIME sniffing standard
_BY_SUFFIX = MimeTypes()  # Python's own table, the same on every machine
_TEXTS = {"text/csv", "text/tab-separated-values", "application/json"}
_OTHERS = {"application/gzip", "application/pdf", "application/zip"}
_MEDIA = ("audio/", "image/", "video/")
_BINARY = bytes(byte for byte in range(32) if byte not in b"\t\n\f\r\x1b")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def media_type(name: str, head: bytes) -> str:
    """The `Content-Type` of a text with this name whose first `HEAD_BYTES` bytes are `head`.

    The content decides between text and binary (mimesniff.spec.whatwg.org), the suffix only names the type. HTML, SVG, XML
    and scripts are sent as plain text; otherwise anyone who may store a text could run scripts in this origin.
    """
    guessed, packed = _BY_SUFFIX.guess_type(name, strict=False)
    if packed:
        guessed = f"application/{packed}"
    if head.startswith(_UTF_16):
        return "text/plain; charset=utf-16"
    if head.translate(None, _BINARY) == head:
        kind = guessed if guessed in _TEXTS else "text/plain"
        return kind if kind == "application/json" else f"{kind}; charset=utf-8"
    if guessed and (guessed in _OTHERS or (guessed.startswith(_MEDIA) and not guessed.endswith("+xml"))):
        return guessed
    return "application/octet-stream"

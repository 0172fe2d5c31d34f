"""Where each signal goes over OTLP, and by which protocol, as the `OTEL_*` variables say."""

import os
from urllib.parse import urlsplit

from essaim.errors import SettingsError

PROTOCOLS = ("http/protobuf", "grpc")


def protocol(signal: str) -> str:
    """One of `PROTOCOLS`: for the signal, else for all, else the first."""
    name, value = _setting(signal, "PROTOCOL")
    if value and value not in PROTOCOLS:
        raise SettingsError(f"{name} is {value!r}: it must be {' or '.join(PROTOCOLS)}")
    return value or PROTOCOLS[0]


def is_wanted(signal: str) -> bool:
    """Whether an endpoint is set for it, and `OTEL_<signal>_EXPORTER` does not say `none`.

    Raises `SettingsError` for one that nothing could ever be sent to.
    """
    name, value = _setting(signal, "ENDPOINT")
    if not value or os.environ.get(f"OTEL_{signal.upper()}_EXPORTER") == "none":
        return False
    if not _is_endpoint(value, may_be_bare=protocol(signal) == "grpc"):
        raise SettingsError(f"{name} must be a URL, such as http://127.0.0.1:4318")
    return True


def _setting(signal: str, what: str) -> tuple[str, str]:
    """The variable that counts, and what it says; for the signal alone, or for all."""
    own, common = f"OTEL_EXPORTER_OTLP_{signal.upper()}_{what}", f"OTEL_EXPORTER_OTLP_{what}"
    name = own if os.environ.get(own) else common
    return name, os.environ.get(name, "")


def _is_endpoint(text: str, *, may_be_bare: bool) -> bool:
    """A URL with a host; for gRPC `host:port` will do."""
    if may_be_bare and "//" not in text:
        text = f"http://{text}"
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        return False

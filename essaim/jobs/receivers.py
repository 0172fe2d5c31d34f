"""Who may be called when a job ends: which URLs are taken, and which addresses a call may go to.

Workers stand inside the network, and clients say which URL they call. So hosts are on a list, and what a host's name leads to
is looked at again when it is called.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from essaim.errors import CallbackRefusedError

LONGEST_URL = 2000  # characters
SHORTEST_SECRET = 24  # bytes: what Standard Webhooks asks for
URL = re.compile(r"https?://[!-~]+", re.IGNORECASE)
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
NUMBER = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")  # such a name is an IPv4 address to many a resolver

Address = IPv4Address | IPv6Address

# This host, link-local (where clouds keep credentials), multicast, broadcast.
NEVER: list[IPv4Network | IPv6Network] = [
    *map(IPv4Network, ("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")),
    *map(IPv6Network, ("::/128", "fe80::/10", "ff00::/8")),
]
GLOBAL_UNICAST = IPv6Network("2000::/3")
NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True)
class Receivers:
    """`hosts` are names, `*.` and a domain, or addresses. `private`: receivers may be inside the network, over http too."""

    hosts: Sequence[str]
    private: bool

    def check(self, url: str) -> SplitResult:
        """The parts of a URL that may be called. Raises `CallbackRefusedError`, which quotes nothing of it but the host."""
        if len(url) > LONGEST_URL:
            raise CallbackRefusedError(f"the callback has more than {LONGEST_URL} characters")
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            raise CallbackRefusedError("the callback is no URL") from None
        if not URL.fullmatch(url) or "\\" in url or not host or parts.port == 0:
            raise CallbackRefusedError("the callback is no absolute http(s) URL in ASCII")
        if parts.scheme != "https" and not self.private:
            raise CallbackRefusedError("the callback must be an https URL")
        if "@" in parts.netloc or "#" in url:
            raise CallbackRefusedError("the callback may have neither a user nor a fragment")
        if not any(_fits(host, pattern) for pattern in self.hosts):
            listed = (
                "is not among those that may be called" if self.hosts else "may not be called: no callbacks are taken"
            )
            raise CallbackRefusedError(f"the callback's host {host[:100]} {listed}")
        return parts

    def reachable(self, address: str) -> bool:
        """Whether a call may go there: public addresses, and private ones where they are allowed, but never link-local."""
        inner = _inner(ip_address(address.partition("%")[0]))
        if inner is None or any(inner in network for network in NEVER):
            return False
        if self.private or not isinstance(inner, IPv6Address):
            return self.private or inner.is_global
        return inner.is_global and inner in GLOBAL_UNICAST


def patterns(text: str) -> list[str]:
    """The hosts in a comma-separated list. Raises ValueError for one that could never be meant."""
    entries = [entry.strip().lower().strip("[]") for entry in text.split(",") if entry.strip()]
    for entry in entries:
        name = entry.removeprefix("*.")
        numeric = ":" in name or NUMBER.fullmatch(name)
        if (name != entry or _literal(name) is None) if numeric else not NAME.fullmatch(name):
            raise ValueError(
                f"ESSAIM_CALLBACK_HOSTS: {entry!r} is no host; write `hooks.example.com` or `*.example.com`"
            )
    return entries


def keys(text: str) -> list[bytes]:
    """The keys in a comma-separated list of secrets, as they are or as `whsec_` and base64. Raises ValueError."""
    found = []
    for secret in filter(None, (entry.strip() for entry in text.split(","))):
        try:
            encoded = secret.removeprefix("whsec_")
            key = secret.encode() if encoded == secret else base64.b64decode(encoded, validate=True)
        except binascii.Error:
            raise ValueError("ESSAIM_CALLBACK_SECRET: what follows whsec_ is no base64") from None
        if len(key) < SHORTEST_SECRET:
            raise ValueError(f"ESSAIM_CALLBACK_SECRET needs at least {SHORTEST_SECRET} bytes, or it can be guessed")
        found.append(key)
    return found


def _fits(host: str, pattern: str) -> bool:
    literal = _literal(host)
    if literal is not None or NUMBER.fullmatch(host):
        return literal is not None and literal == _literal(pattern)
    if not NAME.fullmatch(host):
        return False
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _inner(address: Address) -> Address | None:
    """The address that is meant; None for forms of which nobody can tell where they lead."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in NAT64:
        return IPv4Address(address.packed[-4:])
    if address.sixtofour is not None or address.teredo is not None:
        return None
    return address

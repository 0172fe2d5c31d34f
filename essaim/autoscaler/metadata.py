"""A rabbitmq trigger's metadata as KEDA 2.21 reads it: texts, each with its own parser.

Follows `pkg/scalers/scalersconfig/typed_config.go` and `pkg/scalers/rabbitmq_scaler.go`, and gives their reasons.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from essaim.autoscaler.errors import ScaledObjectError

_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_TRUTHS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True)
_TRUTHS |= dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_SPAN = re.compile(r"([+-]?)(?:0|((?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+))")
_MILLISECONDS = re.compile(r"[+-]?[0-9]+")
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_AUTH_MODES = ("apiKey", "basic", "tls", "bearer", "custom", "oauth")
_RATES = ("MessageRate", "DeliverGetRate", "PublishedToDeliveredRatio", "ExpectedQueueConsumptionTime")


@dataclass(frozen=True, slots=True)
class RabbitMetadata:
    """What a trigger reads and compares with. `value` is over 0."""

    protocol: Literal["amqp", "http"]
    excludes_unacknowledged: bool
    value: float
    activation: float


def read(metadata: Mapping[str, str], *, authenticated: bool) -> RabbitMetadata:
    """Raises `ScaledObjectError` with KEDA's reason, or with ours where one machine has no such numbers.

    `authenticated`: the trigger has an `authenticationRef`, which may hold the host.
    """
    given = {name: text for name, value in metadata.items() if (text := value.strip(_SPACES))}
    if "queueName" not in given:
        raise ScaledObjectError('missing required parameter "queueName" in [triggerMetadata]')
    if not authenticated and not given.keys() & {"host", "hostFromEnv"}:
        raise ScaledObjectError('missing required parameter "host" in [triggerMetadata authParams resolvedEnv]')
    old, value, activation = (_number(given, name) for name in ("queueLength", "value", "activationValue"))
    regex, excludes = (_truth(given, name) for name in ("useRegex", "excludeUnacknowledged"))
    _truth(given, "unsafeSsl")
    if _number(given, "pageSize", 100, whole=True) < 1:
        raise ScaledObjectError("pageSize should be 1 or greater")
    timed = _has_timeout(given)
    _check_auth_modes(given, authenticated=authenticated)
    protocol = _protocol(given)
    if regex and protocol != "http":
        raise ScaledObjectError("configure useRegex=true only with HTTP protocol")
    if excludes and protocol != "http":
        raise ScaledObjectError("configure excludeUnacknowledged=true only with HTTP protocol")
    return RabbitMetadata(protocol, excludes, _target(given, old, value, protocol, timed=timed), activation)


def _target(given: Mapping[str, str], old: float, value: float, protocol: str, *, timed: bool) -> float:
    mode = given.get("mode", "Unknown")
    if old == 0 and mode == "Unknown" and value == 0:
        return 20.0
    if old != 0:
        if mode != "Unknown" or value != 0:
            raise ScaledObjectError("queueLength is deprecated; use mode and value")
        return _positive(old)
    if mode == "Unknown":
        raise ScaledObjectError("mode must be specified")
    if value == 0:
        raise ScaledObjectError("value must be specified")
    if mode in _RATES:
        if protocol != "http":
            raise ScaledObjectError(f"protocol {protocol} not supported; must be HTTP to use trigger mode {mode}")
        raise ScaledObjectError(
            f"the mode {mode} needs message rates, which one machine does not have; use QueueLength"
        )
    if mode != "QueueLength":
        raise ScaledObjectError(
            f"trigger mode {mode} must be one of QueueLength, {', '.join(_RATES[:-1])} or {_RATES[-1]}"
        )
    if protocol == "amqp" and timed:
        raise ScaledObjectError("AMQP protocol doesn't support custom timeouts")
    return _positive(value)


def _positive(value: float) -> float:
    """The HPA counts in thousandths, in 64 bits, and refuses a target that is not over 0."""
    if not 0.001 <= value < 2**63 / 1000:
        raise ScaledObjectError(f"the HPA needs a target of at least 0.001 and less than 2^63 thousandths, not {value}")
    return value


def _protocol(given: Mapping[str, str]) -> Literal["amqp", "http"]:
    protocol = given.get("protocol", "auto")
    if protocol == "auto":
        host = given.get("host", "")
        if ":" in host.partition("/")[0] and not _SCHEME.match(host):
            raise ScaledObjectError("can't parse host to find protocol: it begins with no scheme")
        found = _SCHEME.match(host)
        protocol = scheme = found[1].lower() if found else ""
        if scheme in ("amqps", "https"):
            protocol = scheme[:-1]
        elif scheme not in ("amqp", "http"):
            raise ScaledObjectError(f"unknown host URL scheme: `{scheme}`; write the host here or set protocol")
    match protocol:
        case "amqp" | "http":
            return protocol
    raise ScaledObjectError(f"the protocol has to be either `amqp`, `http`, or `auto` but is `{protocol}`")


def _truth(given: Mapping[str, str], name: str) -> bool:
    text = given.get(name)
    if text is None:
        return False
    if text not in _TRUTHS:
        raise _unset(name, text, "unable to parse boolean value; use true or false")
    return _TRUTHS[text]


def _number(given: Mapping[str, str], name: str, default: float = 0.0, *, whole: bool = False) -> float:
    """As `json.Unmarshal` reads it."""
    text = given.get(name)
    if text is None:
        return default
    if not _NUMBER.fullmatch(text) or not math.isfinite(number := float(text)):
        raise _unset(name, text, "not a number as JSON writes it")
    if whole and (not text.removeprefix("-").isdigit() or not -(2**63) <= number < 2**63):
        raise _unset(name, text, "not a whole number of 64 bits")
    return number


def _has_timeout(given: Mapping[str, str]) -> bool:
    text = given.get("timeout")
    if text is None:
        return False
    if not _SPAN.fullmatch(text) and not _MILLISECONDS.fullmatch(text):
        raise _unset("timeout", text, "neither a duration such as 30s nor a number of milliseconds")
    zero = not any(digit in text for digit in "123456789")
    if text.startswith("-") and not zero:
        raise _unset("timeout", text, "duration cannot be negative")
    return not zero


def _check_auth_modes(given: Mapping[str, str], *, authenticated: bool) -> None:
    text = given.get("authModes") or given.get("authMode")
    modes = [mode.strip(_SPACES) for mode in text.split(",")] if text else []
    if any(mode not in _AUTH_MODES for mode in modes):
        raise ScaledObjectError(
            f'parameter "authModes,authMode" value {json.dumps(text)} must be one of [{" ".join(_AUTH_MODES)}]'
        )
    if sum(mode in ("bearer", "basic", "oauth") for mode in modes) > 1:
        raise ScaledObjectError(
            f'parameter "authModes,authMode" value {json.dumps(text)} must contain only one of [bearer basic oauth]'
        )
    if "basic" in modes and not authenticated:
        raise ScaledObjectError("username=<empty> is required when basic auth is enabled")


def _unset(name: str, text: str, why: str) -> ScaledObjectError:
    return ScaledObjectError(f'unable to set param "{name}" value {json.dumps(text, ensure_ascii=False)}: {why}')

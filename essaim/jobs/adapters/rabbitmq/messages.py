"""Events as AMQP messages and back: the CloudEvents binding for RabbitMQ, written in binary mode, read in both."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

from aiormq.abc import DeliveredMessage, FieldTable
from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_binary, to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from pamqp.commands import Basic
from uuid_utils import uuid4

from essaim.errors import MessageUnreadableError
from essaim.jobs.events import dump, load

STRUCTURED = "application/cloudevents"
REASON = "essaim-reason"
PARKED = "essaim-parked"
PERSISTENT = 2
MAX_REASON = 4000  # characters: all headers of a message must fit into one frame of 128 KiB


class Message(NamedTuple):
    """A message to publish."""

    body: bytes
    properties: Basic.Properties


def to_message(event: CloudEvent, *, expiration: float | None = None) -> Message:
    bound = to_binary(event, JSONFormat())
    return _message(bound.body, bound.content_type, dict(bound.headers), expiration=expiration)


def read(message: DeliveredMessage) -> CloudEvent:
    """The event in the message. Raises `MessageUnreadableError`."""
    if _structured(message):
        return load(message.body)
    headers = {name: str(value) for name, value in _own(message).items()}
    content_type = message.header.properties.content_type
    try:
        event = from_binary(RabbitMQMessage(headers, content_type, message.body), JSONFormat(), CloudEvent)
    except Exception as error:  # whatever it stumbles over, it is in what somebody else has sent
        raise MessageUnreadableError(f"no CloudEvent: {error}") from error
    assert isinstance(event, CloudEvent)  # noqa: S101  # the SDK's return type is wider than what its factory makes
    return event


def read_json(message: DeliveredMessage) -> bytes:
    """The event as `application/cloudevents+json`. Raises `MessageUnreadableError`."""
    event = read(message)
    return message.body if _structured(message) else dump(event)


def copy(message: DeliveredMessage, *, expiration: float | None = None) -> Message:
    """The same message, without the headers that brokers added."""
    return _message(message.body, message.header.properties.content_type, _own(message), expiration=expiration)


def parked_copy(message: DeliveredMessage, reason: str) -> Message:
    """The message as a dead letter."""
    said = reason.encode(errors="backslashreplace").decode()[:MAX_REASON]
    headers = {**_own(message), REASON: said, PARKED: datetime.now(UTC).isoformat()}
    return _message(message.body, message.header.properties.content_type, headers)


@dataclass(frozen=True)
class Parking:
    """The identity of a dead letter, and why and when it was parked."""

    id: str
    reason: str
    parked: datetime


def parking(message: DeliveredMessage) -> Parking:
    """As written by this adapter, or by the broker if the broker gave the message up."""
    id_ = message.header.properties.message_id or sha256(message.body).hexdigest()[:32]
    headers = message.header.properties.headers or {}
    if PARKED in headers:
        return Parking(id_, str(headers[REASON]), datetime.fromisoformat(str(headers[PARKED])))
    deaths: Any = headers.get("x-death")
    death: Mapping[str, Any] = deaths[0] if isinstance(deaths, list) and deaths else {}
    at = death.get("time")
    parked = at.replace(tzinfo=at.tzinfo or UTC) if isinstance(at, datetime) else datetime.fromtimestamp(0, UTC)
    return Parking(id_, f"given up by the broker: {death.get('reason', 'no reason known')}", parked)


def tag_of(message: DeliveredMessage) -> int:
    """The delivery tag, by which the message is settled."""
    assert message.delivery_tag is not None  # noqa: S101  # a message that was delivered has one
    return message.delivery_tag


def _message(body: bytes, content_type: str | None, headers: FieldTable, *, expiration: float | None = None) -> Message:
    properties = Basic.Properties(
        content_type=content_type,
        headers=headers,
        delivery_mode=PERSISTENT,
        message_id=uuid4().hex,  # of the message and not of the event: dead letters are told apart by it
        expiration=None if expiration is None else str(int(expiration * 1000)),
    )
    return Message(body, properties)


def _structured(message: DeliveredMessage) -> bool:
    return (message.header.properties.content_type or "").lower().startswith(STRUCTURED)


def _own(message: DeliveredMessage) -> FieldTable:
    """The headers of the event only: with its own `x-death` header the broker would detect a cycle."""
    headers = message.header.properties.headers or {}
    return {name: value for name, value in headers.items() if name.lower().startswith("ce-")}

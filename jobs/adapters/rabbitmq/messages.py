"""Events as AMQP messages and back: the CloudEvents binding for RabbitMQ, written in binary mode, read in both."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import uuid4

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractIncomingMessage, HeadersType
from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_binary, to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from jobs.errors import MessageUnreadableError
from jobs.events import dump, load

STRUCTURED = "application/cloudevents"
REASON = "essaim-reason"
PARKED = "essaim-parked"
MAX_REASON = 4000  # characters: all headers of a message must fit into one frame of 128 KiB


def to_message(event: CloudEvent, *, expiration: float | None = None) -> Message:
    bound = to_binary(event, JSONFormat())
    return _message(bound.body, bound.content_type, dict(bound.headers), expiration=expiration)


def read(message: AbstractIncomingMessage) -> CloudEvent:
    """The event in the message. Raises `MessageUnreadableError`."""
    if _structured(message):
        return load(message.body)
    headers = {name: str(value) for name, value in _own(message.headers).items()}
    try:
        event = from_binary(RabbitMQMessage(headers, message.content_type, message.body), JSONFormat(), CloudEvent)
    except Exception as error:  # whatever it stumbles over, it is in what somebody else has sent
        raise MessageUnreadableError(f"no CloudEvent: {error}") from error
    assert isinstance(event, CloudEvent)  # noqa: S101  # the SDK's return type is wider than what its factory makes
    return event


def read_json(message: AbstractIncomingMessage) -> bytes:
    """The event as `application/cloudevents+json`. Raises `MessageUnreadableError`."""
    event = read(message)
    return message.body if _structured(message) else dump(event)


def copy(message: AbstractIncomingMessage, *, expiration: float | None = None) -> Message:
    """The same message, without the traces of its way."""
    return _message(message.body, message.content_type, _own(message.headers), expiration=expiration)


def parked_copy(message: AbstractIncomingMessage, reason: str) -> Message:
    """The message as a dead letter."""
    said = reason.encode(errors="backslashreplace").decode()[:MAX_REASON]
    headers = {**_own(message.headers), REASON: said, PARKED: datetime.now(UTC).isoformat()}
    return _message(message.body, message.content_type, headers)


@dataclass(frozen=True)
class Parking:
    """Which dead letter it is, and why and when it became one."""

    id: str
    reason: str
    parked: datetime


def parking(message: AbstractIncomingMessage) -> Parking:
    """As this adapter has written it, or as the broker has, where it was the one who gave up."""
    id_ = message.message_id or sha256(message.body).hexdigest()[:32]
    if PARKED in message.headers:
        return Parking(id_, str(message.headers[REASON]), datetime.fromisoformat(str(message.headers[PARKED])))
    deaths: Any = message.headers.get("x-death")
    death: Mapping[str, Any] = deaths[0] if isinstance(deaths, list) and deaths else {}
    at = death.get("time")
    parked = at.replace(tzinfo=at.tzinfo or UTC) if isinstance(at, datetime) else datetime.fromtimestamp(0, UTC)
    return Parking(id_, f"given up by the broker: {death.get('reason', 'no reason known')}", parked)


def _message(
    body: bytes, content_type: str | None, headers: HeadersType, *, expiration: float | None = None
) -> Message:
    return Message(
        body,
        content_type=content_type,
        headers=headers,
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=uuid4().hex,  # of the message and not of the event: dead letters are told apart by it
        expiration=expiration,
    )


def _structured(message: AbstractIncomingMessage) -> bool:
    return (message.content_type or "").lower().startswith(STRUCTURED)


def _own(headers: HeadersType) -> HeadersType:
    """The event's headers, and no others: the broker's history would make it think of a cycle."""
    return {name: value for name, value in headers.items() if name.lower().startswith("ce-")}

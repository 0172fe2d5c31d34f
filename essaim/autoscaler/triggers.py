"""What KEDA makes of the triggers' answers: activity for its own poll, a metric for the HPA, fallback when one fails.

Follows KEDA 2.21 (`pkg/scaling/scale_handler.go`, `pkg/fallback/fallback.go`, `pkg/scaling/modifiers/formula.go`),
including what surprises there; the tests name each surprise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from essaim.autoscaler.policy import Policy, Trigger

LARGEST = 2.0**63 - 1024
"""The largest number that KEDA can hand to the HPA, in thousandths: 64 bits, less what a float cannot tell apart."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What is known at `now` (seconds, any origin): each trigger's number, None where it failed; and the replicas."""

    now: float
    metrics: Mapping[str, float | None]
    replicas: int
    ready: int


@dataclass(frozen=True, slots=True)
class HpaMetric:
    """One metric of the HPA in thousandths, as Kubernetes counts; None while there is none."""

    milli: int | None
    target_milli: int
    average: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look gave. `stuck`: KEDA could not even look, and does nothing at all."""

    metrics: tuple[HpaMetric, ...]
    active: bool = False
    failed: bool = False
    fallback: bool = False
    stuck: bool = False
    metric: float | None = None


class _Kind(Enum):
    VALUE = "value"
    NIL = "nil"
    FALLBACK = "fallback"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class _Record:
    kind: _Kind
    value: float = 0.0


_FAILED = _Record(_Kind.FAILED)


class Triggers:
    """Reads samples; remembers failures in a row, and what the last poll saw for those with `useCachedMetrics`."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._no_failures = {trigger.name: 0 for trigger in policy.triggers}
        self._failures = dict(self._no_failures)
        self._cache: dict[str, _Record] = {}
        # As for the formula: few different depths, and a simulation asks millions of times.
        self._all_answered = lru_cache(maxsize=4096)(self._answered)

    def poll(self, sample: Sample) -> Reading:
        """KEDA's own look, every `pollingInterval`."""
        values = [sample.metrics.get(trigger.name) for trigger in self._policy.triggers]
        if None not in values:
            reading, cache = self._all_answered(*values)
            self._failures.update(self._no_failures)
            self._cache.update(cache)
            return reading
        if self._unbuildable(sample):
            return self._stuck()
        records = {}
        for trigger in self._policy.triggers:
            records[trigger.name] = record = self._settle(trigger, _raw(trigger, sample), sample)
            if trigger.cached:
                self._cache[trigger.name] = self._cacheable(record)
        return self._reading(records)

    def read(self, sample: Sample) -> Reading:
        """The HPA's look. A cached answer counts once more: a success ends the row of failures, a failure extends it."""
        if self._unbuildable(sample):
            return self._stuck()
        answers = {it.name: self._cache.get(it.name) or _raw(it, sample) for it in self._policy.triggers}
        return self._reading({it.name: self._settle(it, answers[it.name], sample) for it in self._policy.triggers})

    def _answered(self, *values: float) -> tuple[Reading, dict[str, _Record]]:
        """What a poll without any failure gives, and what it leaves in the cache."""
        pairs = [(trigger, _value(value)) for trigger, value in zip(self._policy.triggers, values, strict=True)]
        cache = {trigger.name: record for trigger, record in pairs if trigger.cached}
        return self._reading({trigger.name: record for trigger, record in pairs}), cache

    def _unbuildable(self, sample: Sample) -> bool:
        """An AMQP scaler dials when it is built: one that cannot takes all triggers with it, and counts as no failure."""
        return any(
            trigger.protocol == "amqp" and sample.metrics.get(trigger.name) is None for trigger in self._policy.triggers
        )

    def _stuck(self) -> Reading:
        triggers = (None,) if self._policy.formula else self._policy.triggers
        return Reading(tuple(self._hpa_metric(trigger, None) for trigger in triggers), stuck=True)

    def _settle(self, trigger: Trigger, record: _Record, sample: Sample) -> _Record:
        fallback, name = self._policy.fallback, trigger.name
        if record.kind is not _Kind.FAILED:
            self._failures[name] = 0
            return record
        if fallback is None:
            return record
        self._failures[name] += 1
        if self._failures[name] <= fallback.failure_threshold:
            return record
        target, average = self._target(trigger)
        match fallback.behavior:
            case "scalingModifiers":
                return _Record(_Kind.NIL) if self._policy.formula else _FAILED
            case "static":
                replicas = fallback.replicas
            case "currentReplicas":
                replicas = sample.replicas
            case "currentReplicasIfHigher":
                replicas = max(sample.replicas, fallback.replicas)
            case "currentReplicasIfLower":
                replicas = min(sample.replicas, fallback.replicas)
        if average:
            return _Record(_Kind.FALLBACK, target * replicas)
        return _Record(_Kind.FALLBACK, target * replicas / sample.ready) if sample.ready else _FAILED

    def _cacheable(self, record: _Record) -> _Record:
        """What a later look finds in the cache. Under a formula a fallback's number has lost its trigger's name,
        and nil has become the -1 that stood for it."""
        match record.kind:
            case _Kind.FALLBACK:
                return _Record(_Kind.NIL) if self._policy.formula else _Record(_Kind.VALUE, record.value)
            case _Kind.NIL:
                return _Record(_Kind.VALUE, -1.0)
            case _:
                return record

    def _reading(self, records: dict[str, _Record]) -> Reading:
        kinds = {record.kind for record in records.values()}
        failed, fallback = _Kind.FAILED in kinds, _Kind.FALLBACK in kinds
        if self._policy.formula:
            metric = self._composite(records, failed, fallback)
            active = not failed and metric is not None and metric > self._policy.activation_target
            return Reading((self._hpa_metric(None, metric),), active, failed, fallback, metric=metric)
        metrics, active = [], fallback
        for trigger in self._policy.triggers:
            record = records[trigger.name]
            usable = record.kind in (_Kind.VALUE, _Kind.FALLBACK)
            metrics.append(self._hpa_metric(trigger, record.value if usable else None))
            active = active or (record.kind is _Kind.VALUE and record.value > trigger.activation)
        metric = max((record.value for record in records.values()), default=None)
        return Reading(tuple(metrics), active, failed, fallback, metric=metric)

    def _composite(self, records: dict[str, _Record], failed: bool, fallback: bool) -> float | None:
        if fallback:  # also while another trigger fails and has not got so far
            return next(record.value for record in records.values() if record.kind is _Kind.FALLBACK)
        if failed or not self._policy.formula:
            return None
        known = {name: record.value for name, record in records.items() if record.kind is _Kind.VALUE}
        try:
            value = self._policy.formula.value(known)
        except ArithmeticError:
            return None  # KEDA logs it, calls the target inactive, and has nothing for the HPA
        if value is not None:
            return int(max(-LARGEST, min(value * 1000, LARGEST))) / 1000
        return self._policy.fallback.replicas * self._policy.target if self._policy.fallback else None

    def _target(self, trigger: Trigger | None) -> tuple[float, bool]:
        if trigger is None or self._policy.formula:
            return self._policy.target, self._policy.average
        return trigger.value, trigger.average

    def _hpa_metric(self, trigger: Trigger | None, value: float | None) -> HpaMetric:
        target, average = self._target(trigger)
        return HpaMetric(None if value is None else round(value * 1000), int(target * 1000), average)


def _raw(trigger: Trigger, sample: Sample) -> _Record:
    value = sample.metrics.get(trigger.name)
    return _FAILED if value is None else _value(value)


def _value(number: float) -> _Record:
    """A trigger's negative number is 0 since KEDA 2.20.2; a formula's is not."""
    return _Record(_Kind.VALUE, max(number, 0.0))

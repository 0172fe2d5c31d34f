"""KEDA's own part of scaling: from nothing (or idle) up to the minimum, and back. All between is the HPA's.

Follows KEDA 2.21, `pkg/scaling/executor/scale_scaledobjects.go`, case by case.
"""

from essaim.autoscaler.policy import Policy
from essaim.autoscaler.triggers import Reading


class Activation:
    """Decides after each poll. `created` is when the ScaledObject began to exist, in seconds."""

    def __init__(self, policy: Policy, created: float) -> None:
        self._policy = policy
        self._created = created
        self._last_active: float | None = None

    def decide(self, reading: Reading, now: float, replicas: int) -> tuple[int, str]:
        """How many replicas there should be now, and why, as far as KEDA itself has a say."""
        if reading.stuck:
            return replicas, "frozen: the queue cannot be asked"
        if reading.active:
            return self._active(reading, now, replicas)
        return self._inactive(reading, now, replicas)

    def _active(self, reading: Reading, now: float, replicas: int) -> tuple[int, str]:
        policy = self._policy
        idle = policy.idle_replicas is not None and replicas < policy.min_replicas
        if idle or replicas == 0:
            self._last_active = now
            reason = "fallback: woken unasked" if reading.fallback else "woken: there is work"
            return max(1, policy.min_replicas), reason
        if reading.failed:
            return replicas, "frozen: a trigger fails"
        self._last_active = now
        return replicas, "fallback: the queue cannot be asked" if reading.fallback else "there is work"

    def _inactive(self, reading: Reading, now: float, replicas: int) -> tuple[int, str]:
        policy, fallback = self._policy, self._policy.fallback
        if reading.failed and (fallback is None or fallback.replicas):
            return replicas, "frozen: a trigger fails"
        idle = policy.idle_replicas
        if (idle is not None and replicas > idle) or (replicas and not policy.min_replicas):
            left = self._cooldown_left(now)
            # KEDA wants the end of the cooldown to have passed, not to be now.
            if left >= 0:
                return replicas, f"cooldown: {left:.0f} s left"
            return policy.min_replicas if idle is None else idle, "cooldown is over"
        if idle is None and replicas < policy.min_replicas:
            return policy.min_replicas, "up to the minimum"
        return replicas, "no work"

    def _cooldown_left(self, now: float) -> float:
        """One that was never active waits only for the initial cooldown, since it was created."""
        if self._last_active is None:
            return self._created + self._policy.initial_cooldown_period - now
        return self._last_active + self._policy.cooldown_period - now

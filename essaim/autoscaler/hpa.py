"""The HorizontalPodAutoscaler's part of scaling: from one (or the minimum) up to the maximum, and back.

Follows Kubernetes 1.34, `pkg/controller/podautoscaler` (`horizontal.go`, `replica_calculator.go`).
"""

import math
from collections import deque
from collections.abc import Callable, Sequence

from essaim.autoscaler.policy import TOLERANCE, Policy, ScalingRules
from essaim.autoscaler.triggers import HpaMetric

LEGACY_WINDOW = 300.0
_OVERFLOW = 2**31 - 1
_Tolerances = tuple[float, float]
"""For the way down, and for the way up."""


class Hpa:
    """Decides at each sync. Remembers what it wished and what it did, as far back as windows and periods reach."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._minimum = max(1, policy.min_replicas)
        windows = [rules.window for rules in (policy.scale_up, policy.scale_down) if rules]
        self._window = max(windows, default=LEGACY_WINDOW)
        self._wishes: deque[tuple[float, int]] = deque()
        self._ups: list[tuple[float, int]] = []
        self._downs: list[tuple[float, int]] = []
        self._began = False
        self._tolerances = (
            policy.scale_down.tolerance if policy.scale_down else TOLERANCE,
            policy.scale_up.tolerance if policy.scale_up else TOLERANCE,
        )
        self._up_says = _says("scaleUp adds", policy.scale_up)
        self._down_says = _says("scaleDown removes", policy.scale_down)

    def decide(self, read: Callable[[], Sequence[HpaMetric]], now: float, replicas: int, ready: int) -> tuple[int, str]:
        """How many replicas there should be now, and why. Reads the metrics only when it needs them."""
        if not self._began:
            self._began = True
            self._wishes.append((now, replicas))
        if replicas == 0:
            return 0, ""  # KEDA's business
        if replicas > self._policy.max_replicas:
            wanted, reason = self._policy.max_replicas, "down to the maximum"
        elif replicas < self._minimum:
            wanted, reason = self._minimum, "up to the minimum"
        else:
            proposal = _proposal(read(), replicas, ready, self._tolerances)
            if proposal is None:
                return replicas, "frozen: no metric"
            wanted, reason = self._normalize(proposal, now, replicas)
        self._store(now, wanted - replicas)
        return wanted, reason

    def _normalize(self, proposal: int, now: float, replicas: int) -> tuple[int, str]:
        policy = self._policy
        up, down = policy.scale_up, policy.scale_down
        if up is None or down is None:
            return self._normalize_without_behavior(proposal, now, replicas)
        lowest = min(proposal, min(self._within(up.window, now), default=proposal))
        highest = max(proposal, max(self._within(down.window, now), default=proposal))
        self._remember(now, proposal)
        stable = min(max(replicas, lowest), highest)
        reason = f"{proposal} wanted"
        if stable != proposal:
            which, rules = ("scaleDown", down) if stable > proposal else ("scaleUp", up)
            reason += f", {stable} by {which}'s stabilization window of {rules.window} s"
        wanted, says = stable, ""
        if stable > replicas:
            limit = max(replicas, self._limit(up, now, replicas, up=True))
            wanted = min(stable, limit, policy.max_replicas)
            says = self._up_says if limit < policy.max_replicas else "by maxReplicaCount"
        elif stable < replicas:
            limit = min(replicas, self._limit(down, now, replicas, up=False))
            wanted = max(stable, limit, self._minimum)
            says = self._down_says if limit > self._minimum else "by minReplicaCount"
        return wanted, reason if wanted == stable else f"{reason}, {wanted} {says}"

    def _normalize_without_behavior(self, proposal: int, now: float, replicas: int) -> tuple[int, str]:
        """The older rules: the highest wish of 5 minutes even on the way up, at most double or 4 at a time."""
        highest = max([proposal, *(wish for at, wish in self._wishes if at >= now - LEGACY_WINDOW)])
        self._remember(now, proposal)
        limit = min(self._policy.max_replicas, max(2 * replicas, 4))
        wanted = max(self._minimum, min(highest, limit))
        return wanted, f"{proposal} wanted" + (f", {wanted} by window and limits" if wanted != proposal else "")

    def _limit(self, rules: ScalingRules, now: float, replicas: int, *, up: bool) -> int:
        """How far the policies let it go: each counts from the replicas at the start of its own period."""
        if rules.select == "Disabled":
            return replicas
        pick: Callable[[list[int]], int] = max if up == (rules.select == "Max") else min
        limits = []
        for rate in rules.policies:
            start = replicas - sum(by for at, by in self._ups + self._downs if at > now - rate.period_seconds)
            sign = 1 if up else -1
            if rate.type == "Pods":
                limits.append(start + sign * rate.value)
            else:
                share = start * (1 + sign * rate.value / 100)
                limits.append(math.ceil(share) if up else int(share))
        return pick(limits)

    def _within(self, window: float, now: float) -> list[int]:
        return [wish for at, wish in self._wishes if at > now - window]

    def _remember(self, now: float, proposal: int) -> None:
        self._wishes.append((now, proposal))
        while self._wishes[0][0] < now - self._window:
            self._wishes.popleft()

    def _store(self, now: float, change: int) -> None:
        """A change takes the place of one that its own direction has no more use for, as it does in Kubernetes, even
        where the other direction's longer period would still count that."""
        rules = self._policy.scale_up if change > 0 else self._policy.scale_down
        if not change or rules is None:
            return
        changes = self._ups if change > 0 else self._downs
        longest = max(rate.period_seconds for rate in rules.policies)
        outdated = [index for index, (at, _) in enumerate(changes) if at < now - longest]
        if outdated:
            changes[outdated[-1]] = (now, change)
        else:
            changes.append((now, change))


def _says(what: str, rules: ScalingRules | None) -> str:
    """Why not more at once, for people."""
    if rules is None or rules.select == "Disabled":
        return f"since {what} none"
    rates = [f"{it.value} {'workers' if it.type == 'Pods' else '%'} in {it.period_seconds} s" for it in rules.policies]
    return f"since {what} at most {(' or ' if rules.select == 'Max' else ' and ').join(rates)}"


def _proposal(metrics: Sequence[HpaMetric], replicas: int, ready: int, tolerances: _Tolerances) -> int | None:
    """The highest of all metrics. One that is missing forbids to go down, all missing forbid to move."""
    proposals = [
        _replicas(metric, metric.milli, replicas, ready, tolerances) for metric in metrics if metric.milli is not None
    ]
    highest = max(proposals, default=None)
    if highest is not None and highest < replicas and len(proposals) < len(metrics):
        return None
    return highest


def _replicas(metric: HpaMetric, milli: int, replicas: int, ready: int, tolerances: _Tolerances) -> int:
    down, up = tolerances
    if metric.average and milli < 0:
        return _OVERFLOW  # Kubernetes takes a sum below 0 for an integer overflow
    ratio = milli / (metric.target_milli * (replicas if metric.average else 1))
    if 1 - down <= ratio <= 1 + up:
        return replicas
    return max(0, math.ceil(milli / metric.target_milli * (1 if metric.average else ready)))

"""KEDA and the HPA together, as arithmetic: samples in, replica counts out. No clock, no processes."""

from dataclasses import dataclass

from essaim.autoscaler.activation import Activation
from essaim.autoscaler.hpa import Hpa
from essaim.autoscaler.policy import HPA_SYNC_SECONDS, Policy
from essaim.autoscaler.triggers import Sample, Triggers


@dataclass(frozen=True, slots=True)
class ScalingDecision:
    """How many replicas from now on, the formula's value as last seen (None: unknown), and why that many."""

    replicas: int
    metric: float | None
    reason: str


def why(decision: ScalingDecision, policy: Policy) -> str:
    """The reason of a decision with the arithmetic behind it, for people."""
    if not policy.formula or not decision.metric or not decision.replicas:
        return decision.reason
    arithmetic = f"{decision.metric:g} = {policy.formula.text}"
    return f"{decision.reason}; {arithmetic}; the HPA looks every {HPA_SYNC_SECONDS:g} s"


class Autoscaler:
    """Follows one policy from `start` on. Deterministic: the same samples give the same decisions.

    KEDA polls at `start` and every `pollingInterval`; the HPA syncs every `sync_seconds`, first at `first_sync` (default:
    after as long). In a cluster the two have nothing to do with each other, so any `first_sync` is as real as another.
    """

    def __init__(
        self,
        policy: Policy,
        start: float = 0.0,
        first_sync: float | None = None,
        sync_seconds: float = HPA_SYNC_SECONDS,
    ) -> None:
        self._polling_interval = policy.polling_interval
        self._triggers = Triggers(policy)
        self._activation = Activation(policy, start)
        self._hpa = Hpa(policy)
        self._next_poll = start
        self._sync_seconds = sync_seconds
        self._next_sync = start + sync_seconds if first_sync is None else first_sync
        self._metric: float | None = None
        self._keda_reason, self._hpa_reason = "", ""

    @property
    def due(self) -> float:
        """When the next sample is wanted. Earlier ones change nothing."""
        return min(self._next_poll, self._next_sync)

    def observe(self, sample: Sample) -> ScalingDecision:
        """Take a sample, poll and sync if it is time, and say how many replicas there should be from now on."""
        replicas = sample.replicas
        if sample.now >= self._next_poll:
            self._next_poll = sample.now + self._polling_interval
            reading = self._triggers.poll(sample)
            self._metric = reading.metric
            replicas, self._keda_reason = self._activation.decide(reading, sample.now, replicas)
        if sample.now >= self._next_sync:
            self._next_sync = sample.now + self._sync_seconds
            replicas, self._hpa_reason = self._hpa.decide(
                lambda: self._triggers.read(sample).metrics, sample.now, replicas, sample.ready
            )
        if not replicas:
            self._hpa_reason = ""
        return ScalingDecision(replicas, self._metric, "; ".join(filter(None, (self._keda_reason, self._hpa_reason))))

"""What the cluster does, second by second: queue, what the formula says, what is wanted, what is there."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field

import httpx

from tests.cluster.access import Cluster
from tests.cluster.lookout import Lookout

EVERY_SECONDS = 0.5
HEADER = "  seconds  ready unacked formula wanted started workers   api"


@dataclass(frozen=True)
class Moment:
    """`wanted` is the HPA's wish, `started` the Deployment's replicas; None: not known at that moment."""

    seconds: float
    ready: int | None
    unacked: int | None
    formula: float | None
    wanted: int | None
    started: int
    workers: int
    api: int

    def __str__(self) -> str:
        cells = [
            "-" if value is None else f"{value:.1f}" if isinstance(value, float) else value for value in astuple(self)
        ]
        return "  {:>7} {:>6} {:>7} {:>7} {:>6} {:>7} {:>7} {:>5}".format(*cells)


@dataclass
class Timeline:
    cluster: Cluster
    release: str
    moments: list[Moment] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    lookout: Lookout | None = None

    def until(self, reached: Callable[[Moment], bool], seconds: float = 240) -> Moment:
        """The first moment from now on that is so. Fails after so many seconds, with what has been seen, or at once when
        nobody looks any more."""
        deadline, seen = time.monotonic() + seconds, len(self.moments)
        while time.monotonic() < deadline:
            if self.lookout:
                self.lookout.check()
            for moment in self.moments[seen:]:
                if reached(moment):
                    return moment
                seen += 1
            time.sleep(0.05)
        raise AssertionError("it never came to that:\n" + self.table())

    def table(self) -> str:
        """The moments in which something changed."""
        shown = [
            moment
            for before, moment in zip([None, *self.moments], self.moments, strict=False)
            if before is None or astuple(before)[1:] != astuple(moment)[1:]
        ]
        return "\n".join([HEADER, *map(str, shown)])

    def _look(self, broker: Callable[[], tuple[int | None, int | None]]) -> Moment:
        read, worker = self.cluster.read, f"essaim-worker-{self.release}"
        deployment = read(f"/apis/apps/v1/namespaces/{{}}/deployments/{worker}")
        hpa = read(f"/apis/autoscaling/v2/namespaces/{{}}/horizontalpodautoscalers/keda-hpa-{worker}").get("status", {})
        api = read(f"/apis/apps/v1/namespaces/{{}}/deployments/essaim-{self.release}-deployment").get("status", {})
        selector = f"scaledobject.keda.sh/name={worker}"
        path = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{{}}/composite-metric?labelSelector={selector}"
        try:
            formula = _quantity(read(path)["items"][0]["value"])
        except (httpx.HTTPError, LookupError):  # KEDA is slow or away; the rest is known
            formula = None
        return Moment(
            round(time.monotonic() - self.began, 1),
            *broker(),
            formula,
            hpa.get("desiredReplicas"),
            deployment.get("spec", {}).get("replicas", 0),
            deployment.get("status", {}).get("readyReplicas", 0),
            api.get("readyReplicas", 0),
        )

    @contextmanager
    def recording(self) -> Iterator["Timeline"]:
        """Look now and again, until the end of the block; then print."""
        with Broker(self.cluster, self.release) as broker:
            self.lookout = Lookout(lambda: self.moments.append(self._look(broker.depth)), EVERY_SECONDS)
            try:
                with self.lookout.looking():
                    yield self
            finally:
                print(f"\n{self.table()}")


class Broker:
    """RabbitMQ's management API, asked as KEDA asks it; the way there is built again whenever the pod is another."""

    def __init__(self, cluster: Cluster, release: str) -> None:
        self._cluster = cluster
        self._path = f"/api/queues/%2F/jobs.{release}"

    def __enter__(self) -> "Broker":
        user = self._cluster.secret("essaim-keda")
        self._auth = (user["username"], user["password"])
        self._connect()
        return self

    def __exit__(self, *_: object) -> None:
        self._way.__exit__(None, None, None)

    def _connect(self) -> None:
        self._way = self._cluster.forward("rabbitmq", 15672)
        self._address = self._way.__enter__()

    def depth(self) -> tuple[int | None, int | None]:
        try:
            answer = httpx.get(self._address + self._path, auth=self._auth, timeout=2).json()
            return answer.get("messages_ready"), answer.get("messages_unacknowledged")
        except (httpx.HTTPError, ValueError):
            self._way.__exit__(None, None, None)
            try:
                self._connect()
            except AssertionError:
                return None, None
            return None, None


def _quantity(text: str) -> float:
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)

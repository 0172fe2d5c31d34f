"""What is left to do once it is decided: failed jobs again, and the release without requests taken away."""

import asyncio
from dataclasses import dataclass, field

from essaim.rollout.client import Remote
from essaim.rollout.model import Phase, Rollout
from essaim.rollout.releases import Objects
from essaim.rollout.requeue import Requeue
from essaim.rollout.service import JsonObject, split_in_force, tags_of
from essaim.rollout.site import Site
from essaim.rollout.steps import revision_name


@dataclass
class Endings:
    """One look after the other, until nothing is left. `waiting` says what the last one has found to wait for."""

    site: Site
    objects: Objects
    waiting: str = ""
    _requeue: Requeue | None = None
    _requeued: bool = False
    _retired: bool = False
    _moved: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    async def look(self, service: JsonObject, rollout: Rollout) -> str | None:
        """What is done now, as a sentence; empty while there is something to wait for; None when nothing is left.

        Raises as `Remote` and `Objects` do.
        """
        plan, back = rollout.plan, rollout.phase is not Phase.PROMOTED
        if not split_in_force(service):
            self.waiting = "the split comes into force"
            return ""
        async with self.site.main(service) as remote:
            if back and rollout.smoke_job and not rollout.opened:
                await remote.cancel(rollout.smoke_job)  # nobody waits for it; one that has ended stays as it is
            if back and rollout.opened and plan.requeue_failed and not self._requeued:
                self._requeue = self._requeue or Requeue(plan.new, rollout.opened)
                return await self._again(self._requeue, remote, plan.timeout)
            if plan.retire and not self._retired:
                release = plan.new if back else plan.old
                if tags := tags_of(service, revision_name(service, release)):
                    self._retired = True
                    return f"{release} stays: the tag {' and '.join(map(repr, tags))} leads to it"
                return await self._away(remote, rollout, release)
        return None

    async def _again(self, requeue: Requeue, remote: Remote, patience: float) -> str:
        """When nothing happens for `patience` seconds, what still runs is taken too; after as long again it is given up."""
        loop, before = asyncio.get_running_loop(), requeue.sentence
        over = await requeue.look(remote, all_of_them=loop.time() - self._moved > patience)
        if requeue.sentence != before:
            self._moved = loop.time()
        self._requeued = over or loop.time() - self._moved > 2 * patience
        self.waiting = requeue.sentence
        return requeue.sentence if self._requeued else ""

    async def _away(self, remote: Remote, rollout: Rollout, release: str) -> str:
        """When none of its jobs is open and it has no worker: a queue that holds something has workers."""
        jobs = (await remote.get("/v1/stats"))["jobs"].get(release, {})
        living = [it for it in (await remote.get("/v1/workers"))["workers"] if it["release"] == release]
        left = {"queued jobs": jobs.get("queued", 0), "running jobs": jobs.get("running", 0), "workers": len(living)}
        if rollout.phase is Phase.PROMOTED:  # KEDA takes away what has worked; what has never started may stay for ever
            left["workers"] = max(left["workers"], await self.objects.workers(release))
        if any(left.values()):
            held = ", ".join(f"{count} {what}" for what, count in left.items() if count)
            self.waiting = f"{release} is removed when it has nothing left: {held}"
            return ""
        gone = await self.objects.retire(release)
        self._retired = True
        return f"{release} is gone: {', '.join(gone) or 'it was already'}"

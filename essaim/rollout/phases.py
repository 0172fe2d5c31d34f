"""What to do next in each phase of a rollout. `Observer` decides on an `Action`; `essaim.rollout.controller` applies it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from essaim.errors import EssaimError, UnavailableError
from essaim.rollout.client import Remote, RemoteError, Site
from essaim.rollout.job_checks import (
    ENDED,
    SCHEMA_EXAMPLE,
    SMOKE_HINT,
    Requeue,
    Seen,
    Shadow,
    Window,
    choose_smoke_request,
    example_request,
    smoke_key,
)
from essaim.rollout.model import Phase, Rollout, revision_name
from essaim.rollout.releases import Objects
from essaim.rollout.service import JsonObject, requested_percent, split_in_force, tag_url, tags_of
from essaim.rollout.verdict import Decision, Verdict, judge, next_look, worth_a_look


@dataclass(frozen=True)
class Wait:
    """Nothing to do but to look again. Unless it is `patient`, waiting too long ends the rollout."""

    sentence: str
    patient: bool = False


@dataclass(frozen=True)
class Move:
    """On to the next phase or step, or to this end."""

    sentence: str
    end: Phase | None = None


@dataclass(frozen=True)
class Write:
    """To be kept, without moving."""

    sentence: str
    change: Callable[[Rollout], Rollout] = lambda rollout: rollout
    template: JsonObject | None = None


@dataclass(frozen=True)
class Judged:
    """There is a verdict on this step."""

    verdict: Verdict


@dataclass(frozen=True)
class Finished:
    """Nothing is left to do."""


Found = Wait | Move | Write | Judged | Finished


@dataclass
class Judging:
    """In memory alone: made again from the jobs when a rollout is taken up."""

    index: int
    old: Window
    new: Window
    wanted: int
    verdict: Verdict | None = None

    @classmethod
    def of(cls, rollout: Rollout) -> "Judging":
        plan, since = rollout.plan, rollout.since
        return cls(rollout.index, Window(plan.old, since), Window(plan.new, since), next_look(0, plan.rules))

    async def look(self, rollout: Rollout, remote: Remote) -> tuple[Seen, Seen, Verdict | None]:
        """What is seen of old and new, and a verdict where there is enough for one. Raises as `Remote` does."""
        old, new = await self.old.read(remote), await self.new.read(remote)
        ended = new.outcomes.ended
        if not worth_a_look(new.outcomes, self.verdict, rollout.plan.rules):
            return old, new, None
        self.verdict = judge(old.outcomes, new.outcomes, rollout.plan.rules, rollout.looks + 1)
        self.wanted = next_look(ended, rollout.plan.rules)
        return old, new, self.verdict

    @property
    def good(self) -> Verdict | None:
        """The last verdict, if it was to go on."""
        return self.verdict if self.verdict is not None and self.verdict.decision is Decision.ADVANCE else None

    @property
    def sentence(self) -> str:
        return f"until {self.wanted} jobs of {self.new.release} have ended that were submitted at this step"

    def overdue(self, old: Seen, new: Seen, timeout: float) -> str:
        """Why this has lasted for too long, if it has. That few jobs come is no reason, and doubt is none either: a clock that
        made an end of it would take back good releases far more often than the verdict's rules allow.
        """
        # What holds the old release's jobs, too, is not its fault.
        if new.waiting > timeout and new.waiting > 2 * old.waiting:
            return f"a job of {self.new.release} has waited {new.waiting:.0f} s for a worker"
        return ""


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


@dataclass
class Looks:
    """What it keeps between two looks can be found out again. `request` is that of the smoke job, None to find one.

    Methods raise `UnavailableError`, and `RemoteError` or `ClusterError` for a refusal.
    """

    objects: Objects
    site: Site
    request: object = None
    _made: bool = False
    _judging: Judging | None = None
    _shadow: Shadow | None = None
    _endings: Endings | None = None

    async def look(self, service: JsonObject, rollout: Rollout) -> Found:
        match rollout.phase:
            case Phase.PREPARING:
                return await self._prepare(service, rollout)
            case Phase.SMOKE:
                return await self._smoke(service, rollout)
            case Phase.SHADOW:
                return await self._compare(service, rollout)
            case Phase.STEPPING:
                return await self._judge(service, rollout)
            case _:
                return await self._finish(service, rollout)

    async def _prepare(self, service: JsonObject, rollout: Rollout) -> Found:
        """Until revision and workers of the new release are there. Whatever keeps them from it, no request has gone there."""
        plan, revision = rollout.plan, revision_name(service, rollout.plan.new)
        asked = service["spec"]["template"]["metadata"].get("name") == revision
        if plan.image and not (self._made and asked):
            try:
                made = await self.objects.bring_up(plan.old, plan.new, plan.image)
                self._made = True
                if not asked:
                    template = await self.objects.template(service, plan.old, plan.new, plan.image)
                    return Write(
                        f"made {', '.join(made)}" if made else "all is there but the revision", template=template
                    )
            except UnavailableError:
                raise
            except EssaimError as error:
                return Move(str(error), Phase.ROLLED_BACK)
        if lacking := await self.objects.missing(service, plan.new):
            return Wait(f"{plan.new} lacks {' and '.join(lacking)}")
        return Move(f"revision {revision} is ready")

    async def _smoke(self, service: JsonObject, rollout: Rollout) -> Found:
        plan = rollout.plan
        if tag_url(service, plan.tag) is None or not split_in_force(service):
            return Wait(f"the tag {plan.tag!r} leads nowhere yet{_because(service)}")
        if rollout.smoke_job is None:
            return await self._first_job(service, rollout)
        async with self.site.tagged(service, plan.tag) as new:
            job = await new.job(rollout.smoke_job)
        name = f"job {job['id']}, the first of {plan.new},"
        match job["state"]:
            case "succeeded":
                return Move(f"{name} has succeeded")
            case "failed":
                failed = f"{name} has failed: {(job['problem'] or {}).get('detail')}"
                if self.request is None:
                    return await self._fails_too(service, rollout, job, failed)
                return Move(failed, Phase.ROLLED_BACK)
            case "cancelled":
                return Move(f"{name} was cancelled", Phase.ROLLED_BACK)
        return Wait(f"{name} is {job['state']}")

    async def _first_job(self, service: JsonObject, rollout: Rollout) -> Found:
        plan, request, origin = rollout.plan, self.request, "as given"
        async with self.site.main(service) as site, self.site.tagged(service, plan.tag) as new:
            if request is None:
                request, origin = await choose_smoke_request(site, new, plan.old)
            job = await new.submit(request, smoke_key(rollout.id, request))
        if job["release"] != plan.new:
            return Move(f"at {new.server} release {job['release']} answers, and not {plan.new}", Phase.ROLLED_BACK)
        return Write(f"{plan.new} has its first job, {origin}", lambda it: replace(it, smoke_job=job["id"]))

    async def _fails_too(self, service: JsonObject, rollout: Rollout, job: JsonObject, failed: str) -> Found:
        """What nobody has named as a first job may fail anywhere: what it read is gone. Then it says nothing, and the release's
        own example is next.
        """
        plan, request = rollout.plan, job["request"]
        async with self.site.main(service) as old, self.site.tagged(service, plan.tag) as new:
            try:
                again = await old.submit(request, f"{smoke_key(rollout.id, request)}-{plan.old}")
            except RemoteError:  # it does not know such requests
                return Move(failed, Phase.ROLLED_BACK)
            if again["state"] not in ENDED:
                return Wait(f"job {again['id']} shows whether {plan.old} fails it, too")
            if again["state"] != "failed":
                return Move(failed, Phase.ROLLED_BACK)
            first, example = job, await example_request(new)
            if example is not None:
                first = await new.submit(example, smoke_key(rollout.id, example))
        if first["id"] == job["id"]:
            return Move(f"{failed}; {plan.old} fails it, too: {SMOKE_HINT}", Phase.ROLLED_BACK)
        sentence = f"{plan.old} fails it, too: {plan.new} has another first job, {SCHEMA_EXAMPLE}"
        return Write(sentence, lambda it: replace(it, smoke_job=first["id"]))

    async def _compare(self, service: JsonObject, rollout: Rollout) -> Found:
        plan = rollout.plan
        self._shadow = self._shadow or Shadow(rollout.id, plan.shadow, rollout.began)
        async with self.site.main(service) as site, self.site.tagged(service, plan.tag) as new:
            over = await self._shadow.look(site, new, plan.old)
        if self._shadow.wrong:
            return Move(self._shadow.sentence, Phase.ROLLED_BACK)
        return Move(self._shadow.sentence) if over else Wait(self._shadow.sentence)

    async def _judge(self, service: JsonObject, rollout: Rollout) -> Found:
        plan = rollout.plan
        if self._judging is None or self._judging.index != rollout.index:
            self._judging = Judging.of(rollout)
        if (verdict := self._judging.good) and not rollout.paused:
            return Move(verdict.sentence)
        percent = requested_percent(service, revision_name(service, plan.new))
        if percent != rollout.percent:
            return Wait(
                f"somebody gives {plan.new} {percent} % of the requests, not {rollout.percent} %: not judged",
                patient=True,
            )
        async with self.site.main(service) as site:
            old, new, judged = await self._judging.look(rollout, site)
        if judged is not None:
            return Judged(judged)
        late = self._judging.overdue(old, new, plan.timeout)
        if late and not rollout.paused:
            return Move(late, Phase.ROLLED_BACK)
        return Wait(self._judging.sentence, patient=True)

    async def _finish(self, service: JsonObject, rollout: Rollout) -> Found:
        self._endings = self._endings or Endings(self.site, self.objects)
        match await self._endings.look(service, rollout):
            case None:
                return Finished()
            case "":
                return Wait(self._endings.waiting, patient=True)
            case sentence:
                return Write(sentence)


def _because(service: JsonObject) -> str:
    """Why the Service is not ready, where it says so."""
    for condition in service["status"].get("conditions", ()):
        if condition.get("status") != "True" and condition.get("message"):
            return f": {condition['message']}"
    return ""

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
    JobsSeen,
    Requeue,
    Shadow,
    Window,
    choose_smoke_request,
    example_request,
    smoke_key,
)
from essaim.rollout.model import Phase, Rollout
from essaim.rollout.releases import Objects
from essaim.rollout.service import JsonObject, requested_percent, revision_name, split_in_force, tag_url, tags_of
from essaim.rollout.verdict import Decision, Verdict, judge, next_look, worth_a_look


@dataclass(frozen=True)
class Wait:
    """Nothing to do yet. Unless `patient`, waiting longer than the time-out rolls back."""

    sentence: str
    patient: bool = False


@dataclass(frozen=True)
class Move:
    """Go to the next phase or step, or end the rollout in phase `end`."""

    sentence: str
    end: Phase | None = None


@dataclass(frozen=True)
class Write:
    """Store a change of the state, without moving on."""

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


Action = Wait | Move | Write | Judged | Finished


@dataclass
class StepJudge:
    """The jobs of both releases at one step, and the last verdict. In memory alone: read again after a resume."""

    index: int
    old: Window
    new: Window
    wanted: int
    verdict: Verdict | None = None

    @classmethod
    def of(cls, rollout: Rollout) -> "StepJudge":
        plan, since = rollout.plan, rollout.since
        return cls(rollout.index, Window(plan.old, since), Window(plan.new, since), next_look(0, plan.rules))

    async def judge(self, rollout: Rollout, remote: Remote) -> tuple[JobsSeen, JobsSeen, Verdict | None]:
        """Old and new as seen now, and a verdict if enough jobs have ended. Raises as `Remote` does."""
        old, new = await self.old.read(remote), await self.new.read(remote)
        if not worth_a_look(new.outcomes, self.verdict, rollout.plan.rules):
            return old, new, None
        self.verdict = judge(old.outcomes, new.outcomes, rollout.plan.rules, rollout.looks + 1)
        self.wanted = next_look(new.outcomes.ended, rollout.plan.rules)
        return old, new, self.verdict

    @property
    def good(self) -> Verdict | None:
        """The last verdict, if it was to go on."""
        return self.verdict if self.verdict is not None and self.verdict.decision is Decision.ADVANCE else None

    @property
    def sentence(self) -> str:
        return f"until {self.wanted} jobs of {self.new.release} have ended that were submitted at this step"

    def overdue(self, old: JobsSeen, new: JobsSeen, timeout: float) -> str:
        """Why this has lasted for too long, if it has. That few jobs come is no reason, and doubt is none either: a clock that
        made an end of it would take back good releases far more often than the verdict's rules allow.
        """
        # What holds the old release's jobs, too, is not its fault.
        if new.waiting > timeout and new.waiting > 2 * old.waiting:
            return f"a job of {self.new.release} has waited {new.waiting:.0f} s for a worker"
        return ""


@dataclass
class Cleanup:
    """Once a rollout is decided: run failed jobs again, and remove the release that gets no requests."""

    site: Site
    objects: Objects
    _requeue: Requeue | None = None
    _requeued: bool = False
    _retired: bool = False
    _moved: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    async def advance(self, service: JsonObject, rollout: Rollout) -> Action:
        """Do the next part that can be done now. Raises as `Remote` and `Objects` do."""
        plan, back = rollout.plan, rollout.phase is not Phase.PROMOTED
        if not split_in_force(service):
            return Wait("the split comes into force", patient=True)
        async with self.site.main(service) as remote:
            if back and rollout.smoke_job and not rollout.opened:
                await remote.cancel(rollout.smoke_job)  # nobody waits for it; one that has ended stays as it is
            if back and rollout.opened and plan.requeue_failed and not self._requeued:
                self._requeue = self._requeue or Requeue(plan.new, rollout.opened)
                return await self._run_again(self._requeue, remote, plan.timeout)
            if plan.retire and not self._retired:
                release = plan.new if back else plan.old
                if tags := tags_of(service, revision_name(service, release)):
                    self._retired = True
                    return Write(f"{release} stays: the tag {' and '.join(map(repr, tags))} leads to it")
                return await self._retire(remote, rollout, release)
        return Finished()

    async def _run_again(self, requeue: Requeue, remote: Remote, patience: float) -> Action:
        """After `patience` seconds without a change, take over running jobs too; after as long again, give up."""
        loop, before = asyncio.get_running_loop(), requeue.sentence
        over = await requeue.advance(remote, all_of_them=loop.time() - self._moved > patience)
        if requeue.sentence != before:
            self._moved = loop.time()
        self._requeued = over or loop.time() - self._moved > 2 * patience
        return Write(requeue.sentence) if self._requeued else Wait(requeue.sentence, patient=True)

    async def _retire(self, remote: Remote, rollout: Rollout, release: str) -> Action:
        """Once it has no open jobs and no workers. A queue with messages has workers."""
        jobs = (await remote.get("/v1/stats"))["jobs"].get(release, {})
        living = [it for it in (await remote.get("/v1/workers"))["workers"] if it["release"] == release]
        left = {"queued jobs": jobs.get("queued", 0), "running jobs": jobs.get("running", 0), "workers": len(living)}
        if rollout.phase is Phase.PROMOTED:  # KEDA takes away what has worked; what has never started may stay for ever
            left["workers"] = max(left["workers"], await self.objects.workers(release))
        if any(left.values()):
            held = ", ".join(f"{count} {what}" for what, count in left.items() if count)
            return Wait(f"{release} is removed when it has nothing left: {held}", patient=True)
        gone = await self.objects.retire(release)
        self._retired = True
        return Write(f"{release} is gone: {', '.join(gone) or 'it was already'}")


@dataclass
class Observer:
    """Its memory can be rebuilt from the Service and the jobs. `request` is that of the smoke job; None: choose one.

    Methods raise `UnavailableError`, and `RemoteError` or `ClusterError` for a refusal.
    """

    objects: Objects
    site: Site
    request: object = None
    _made: bool = False
    _step: StepJudge | None = None
    _shadow: Shadow | None = None
    _cleanup: Cleanup | None = None

    async def observe(self, service: JsonObject, rollout: Rollout) -> Action:
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

    async def _prepare(self, service: JsonObject, rollout: Rollout) -> Action:
        """Wait for revision and workers of the new release. It gets no requests before, so errors roll back."""
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

    async def _smoke(self, service: JsonObject, rollout: Rollout) -> Action:
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

    async def _first_job(self, service: JsonObject, rollout: Rollout) -> Action:
        plan, request, origin = rollout.plan, self.request, "as given"
        async with self.site.main(service) as site, self.site.tagged(service, plan.tag) as new:
            if request is None:
                request, origin = await choose_smoke_request(site, new, plan.old)
            job = await new.submit(request, smoke_key(rollout.id, request))
        if job["release"] != plan.new:
            return Move(f"at {new.server} release {job['release']} answers, and not {plan.new}", Phase.ROLLED_BACK)
        return Write(f"{plan.new} has its first job, {origin}", lambda it: replace(it, smoke_job=job["id"]))

    async def _fails_too(self, service: JsonObject, rollout: Rollout, job: JsonObject, failed: str) -> Action:
        """A smoke job copied from history may fail on the old release too, for instance because its inputs are gone. That
        proves nothing: try the release's own example.
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

    async def _compare(self, service: JsonObject, rollout: Rollout) -> Action:
        plan = rollout.plan
        self._shadow = self._shadow or Shadow(rollout.id, plan.shadow, rollout.began)
        async with self.site.main(service) as site, self.site.tagged(service, plan.tag) as new:
            over = await self._shadow.advance(site, new, plan.old)
        if self._shadow.wrong:
            return Move(self._shadow.sentence, Phase.ROLLED_BACK)
        return Move(self._shadow.sentence) if over else Wait(self._shadow.sentence)

    async def _judge(self, service: JsonObject, rollout: Rollout) -> Action:
        plan = rollout.plan
        if self._step is None or self._step.index != rollout.index:
            self._step = StepJudge.of(rollout)
        if (verdict := self._step.good) and not rollout.paused:
            return Move(verdict.sentence)
        percent = requested_percent(service, revision_name(service, plan.new))
        if percent != rollout.percent:
            return Wait(
                f"somebody gives {plan.new} {percent} % of the requests, not {rollout.percent} %: not judged",
                patient=True,
            )
        async with self.site.main(service) as site:
            old, new, judged = await self._step.judge(rollout, site)
        if judged is not None:
            return Judged(judged)
        late = self._step.overdue(old, new, plan.timeout)
        if late and not rollout.paused:
            return Move(late, Phase.ROLLED_BACK)
        return Wait(self._step.sentence, patient=True)

    async def _finish(self, service: JsonObject, rollout: Rollout) -> Action:
        self._cleanup = self._cleanup or Cleanup(self.site, self.objects)
        return await self._cleanup.advance(service, rollout)


def _because(service: JsonObject) -> str:
    """Why the Service is not ready, where it says so."""
    for condition in service["status"].get("conditions", ()):
        if condition.get("status") != "True" and condition.get("message"):
            return f": {condition['message']}"
    return ""

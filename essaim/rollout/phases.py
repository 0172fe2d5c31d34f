"""One look at a rollout in each of its phases. What is found is told, not done: `essaim.rollout.controller` does it."""

from dataclasses import dataclass, replace

from essaim.errors import EssaimError, UnavailableError
from essaim.rollout.client import RemoteError
from essaim.rollout.endings import Endings
from essaim.rollout.job_checks import Shadow
from essaim.rollout.judging import Judging
from essaim.rollout.model import Phase, Rollout
from essaim.rollout.moves import Finished, Found, Judged, Move, Wait, Write
from essaim.rollout.outcomes import ENDED
from essaim.rollout.releases import Objects
from essaim.rollout.service import JsonObject, requested_percent, split_in_force, tag_url
from essaim.rollout.site import Site
from essaim.rollout.smoke import SCHEMA_EXAMPLE, SMOKE_HINT, choose_smoke_request, example_request, smoke_key
from essaim.rollout.steps import revision_name


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

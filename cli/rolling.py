"""A rollout from this terminal: what was asked for, from options to a plan; its lines; its end as an exit code."""

import asyncio
import json
import re
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import typer

from cli.errors import CliError
from cli.output import document, note, printable
from cli.place import Place, Where, holder, open_place
from cli.running import run
from jobs import telemetry
from rollout import traffic
from rollout.controller import Controller
from rollout.errors import RolloutRefusedError
from rollout.looks import Looks
from rollout.preview import preview
from rollout.service import JsonObject
from rollout.state import Phase, Plan, Rollout
from rollout.telling import Line, Voice
from rollout.verdict import Rules

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?")
SEND_SECONDS = 5.0


@dataclass(frozen=True)
class Asked:
    """The options of a start, understood."""

    release: str
    image: str | None
    steps: tuple[int, ...]
    rules: Rules
    timeout: float
    shadow: int
    requeue_failed: bool
    retire: bool

    @classmethod
    def of(
        cls,
        release: str,
        image: str | None,
        steps: str,
        min_jobs: int,
        max_failure_increase: str,
        max_slowdown: str,
        timeout: str,
        shadow: int,
        requeue_failed: bool,
        retire: bool,
    ) -> "Asked":
        """Raises `CliError` for what cannot be meant."""
        if not NAME.fullmatch(release):
            raise CliError(f"{release!r} is no name of a release: lower case letters, digits and dashes, 20 at most")
        rules = Rules(min_jobs, share(max_failure_increase), share(max_slowdown))
        return cls(release, image, shares(steps), rules, seconds(timeout), shadow, requeue_failed, retire)

    def serves(self, service: JsonObject) -> bool:
        return traffic.serving(service) == f"{service['metadata']['name']}-{self.release}"

    def plan(self, service: JsonObject) -> Plan:
        """For the Service as it is. Raises `RolloutRefusedError` where that cannot be rolled out."""
        name = service["metadata"]["name"]
        serving = traffic.serving(service)
        if not serving.startswith(f"{name}-"):
            raise RolloutRefusedError(f"revision {serving!r} is not named {name}-RELEASE: of which release is it?")
        tag, own_tag = traffic.tag(service, f"{name}-{self.release}", self.release)
        return Plan(
            serving.removeprefix(f"{name}-"),
            self.release,
            tag,
            own_tag,
            self.image,
            self.steps,
            self.rules,
            self.timeout,
            self.shadow,
            self.requeue_failed,
            self.retire,
        )


def roll(where: Where, asked: Asked, smoke: Path | None, *, takeover: bool, plan: bool, as_json: bool) -> None:
    """Start, or take up what is going on for the same release."""
    request = None if smoke is None else _request(smoke)

    async def rolling(place: Place, controller: Controller) -> Rollout | None:
        service, current = await place.record.read()
        if current is not None and not current.done and current.plan.new == asked.release:
            return await controller.take_up(takeover)
        if (current is None or current.done) and asked.serves(service):
            pinned = await place.record.pin(asked.release)
            note(
                f"{asked.release} gets all requests{', and keeps them when others are applied' if pinned else ' already'}"
            )
            return None
        return await controller.begin(uuid4().hex[:8], asked.plan)

    if plan:
        return run(_plan(where, asked, as_json))
    carry(where, rolling, as_json=as_json, request=request)


def carry(
    where: Where,
    begin: Callable[[Place, Controller], Coroutine[Any, Any, Rollout | None]],
    *,
    as_json: bool,
    request: object = None,
) -> None:
    """Carry a rollout to its end, once `begin` holds one. Exit code 1 where the new release has not taken over."""
    me = holder()
    telemetry.export("rollout", "cli", me)

    async def carrying() -> Rollout | None:
        async with open_place(where) as place:
            voice = Voice(_document if as_json else _line)
            controller = Controller(place.record, Looks(place.objects, place.site, request), me, voice)
            if await begin(place, controller) is None:
                return None
            try:
                return await controller.run()
            except asyncio.CancelledError:
                await controller.let_go()
                note("left as it is: `essaim rollout resume` goes on, `essaim rollout abort` goes back")
                raise

    try:
        rollout = run(carrying())
    finally:
        telemetry.close(SEND_SECONDS)
    if rollout is not None and rollout.phase is not Phase.PROMOTED:
        raise typer.Exit(1)


def _request(file: Path) -> object:
    try:
        return json.loads(file.read_bytes())
    except ValueError as error:
        raise CliError(f"{file} holds no JSON: {error}") from error


async def _plan(where: Where, asked: Asked, as_json: bool) -> None:
    async with open_place(where) as place:
        service, _ = await place.record.read()
        plan, template = asked.plan(service), None
        if plan.image:
            template = await place.objects.template(service, plan.old, plan.new, plan.image)
        patches = list(preview(service, plan, template, holder(), datetime.now(UTC)))
    if as_json:
        return document([patch._asdict() for patch in patches])
    for patch in patches:
        sys.stdout.write(f"# {printable(patch.title)}\n{json.dumps(patch.operations)}\n")


def _line(line: Line) -> None:
    at = line.at.astimezone().strftime("%H:%M:%S")
    sys.stdout.write(f"{at}  {line.percent:>3} %  {printable(line.sentence)}\n")
    sys.stdout.flush()


def _document(line: Line) -> None:
    sys.stdout.write(json.dumps({**asdict(line), "at": line.at.isoformat(timespec="milliseconds")}) + "\n")
    sys.stdout.flush()


def share(text: str) -> float:
    """`1%` and `0.01` are the same."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 10:
        raise CliError(f"{text!r} is no share: write 1% or 0.01")
    return value


def shares(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part.strip().removesuffix("%")) for part in text.split(","))
    except ValueError:
        raise CliError(f"{text!r} are no steps: write whole percents, 1,5,25,50,100") from None


def seconds(text: str) -> float:
    """`90`, `90s`, `15m`, `2h`."""
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip()):
        return float(found[1]) * UNITS[found[2] or "s"]
    raise CliError(f"{text!r} is no time: write 90s, 15m or 2h")

"""A rollout from this terminal: its lines, and its end as an exit code."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import typer

from essaim import telemetry
from essaim.cli.errors import CliError
from essaim.cli.output import document, note, printable
from essaim.cli.rollout.options import Asked
from essaim.cli.rollout.target import Place, Where, holder, open_place
from essaim.cli.running import run
from essaim.rollout.controller import Controller
from essaim.rollout.model import Phase, Rollout
from essaim.rollout.phases import Looks
from essaim.rollout.preview import preview
from essaim.rollout.reporting import Line, Voice

SEND_SECONDS = 5.0


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

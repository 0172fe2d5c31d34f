"""Runs a rollout in this terminal: prints its lines, and ends with an exit code."""

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
from essaim.cli.rollout.options import StartOptions
from essaim.cli.rollout.target import Target, TargetOptions, holder, open_target
from essaim.cli.running import run
from essaim.rollout.controller import Controller
from essaim.rollout.model import Phase, Rollout
from essaim.rollout.phases import Observer
from essaim.rollout.preview import preview
from essaim.rollout.reporting import Line, Reporter

SEND_SECONDS = 5.0


def start(
    target_options: TargetOptions,
    options: StartOptions,
    smoke: Path | None,
    *,
    takeover: bool,
    plan: bool,
    as_json: bool,
) -> None:
    """Start a rollout, or resume one of the same release."""
    request = None if smoke is None else _request(smoke)

    async def begin_or_resume(target: Target, controller: Controller) -> Rollout | None:
        service, current = await target.record.read()
        if current is not None and not current.done and current.plan.new == options.release:
            return await controller.take_up(takeover)
        if (current is None or current.done) and options.serves(service):
            pinned = await target.record.pin(options.release)
            note(
                f"{options.release} gets all requests{', and keeps them when others are applied' if pinned else ' already'}"
            )
            return None
        return await controller.begin(uuid4().hex[:8], options.plan)

    if plan:
        return run(_plan(target_options, options, as_json))
    run_controller(target_options, begin_or_resume, as_json=as_json, request=request)


def run_controller(
    target_options: TargetOptions,
    begin: Callable[[Target, Controller], Coroutine[Any, Any, Rollout | None]],
    *,
    as_json: bool,
    request: object = None,
) -> None:
    """Run a rollout to its end, once `begin` holds one. Exit code 1 unless the new release was promoted."""
    me = holder()
    telemetry.export("rollout", "cli", me)

    async def running() -> Rollout | None:
        async with open_target(target_options) as target:
            reporter = Reporter(_document if as_json else _line)
            controller = Controller(target.record, Observer(target.objects, target.site, request), me, reporter)
            if await begin(target, controller) is None:
                return None
            try:
                return await controller.run()
            except asyncio.CancelledError:
                await controller.let_go()
                note("left as it is: `essaim rollout resume` goes on, `essaim rollout abort` goes back")
                raise

    try:
        rollout = run(running())
    finally:
        telemetry.close(SEND_SECONDS)
    if rollout is not None and rollout.phase is not Phase.PROMOTED:
        raise typer.Exit(1)


def _request(file: Path) -> object:
    try:
        return json.loads(file.read_bytes())
    except ValueError as error:
        raise CliError(f"{file} holds no JSON: {error}") from error


async def _plan(target_options: TargetOptions, options: StartOptions, as_json: bool) -> None:
    async with open_target(target_options) as target:
        service, _ = await target.record.read()
        plan, template = options.plan(service), None
        if plan.image:
            template = await target.objects.template(service, plan.old, plan.new, plan.image)
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

"""Load, what it does to queue and workers, and a report: `make load`, or

    python -m loadtests.load --shape spike [--jobs 200] [--server URL [--namespace NAME]]

Exit code 1: a job was lost, failed, or is otherwise not as it must be; 2: it could not be tried at all.
"""

import asyncio
import os
import shutil
import sys
import tempfile
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import typer

from essaim.cli.errors import CliError
from essaim.cli.jobs.progress import progress
from essaim.cli.output import note
from essaim.cli.report import print_report, write_report
from essaim.cli.running import run
from essaim.errors import EssaimError
from loadtests.load import checking, options, site
from loadtests.load.generator import check, open_generator
from loadtests.load.recorder import record
from loadtests.load.visits import Visit, Visits

LOOK_SECONDS = 0.2
QUIET_SECONDS = 2.0  # recorded before the first job and after the last


async def load(given: Namespace, folder: Path) -> list[str]:
    """Play it, and leave all that was recorded in the folder. Returns what is not as it must be."""
    plan = options.plan_of(given)
    with tempfile.TemporaryDirectory(prefix="essaim-load-") as data:
        try:
            async with site.open_target(given, given.token, Path(data)) as target:
                await target.sampler.look()  # whoever does not answer now is not there
                sampling = asyncio.create_task(target.sampler.run())
                try:
                    await asyncio.sleep(QUIET_SECONDS)
                    visits = await _run_load(given, plan, target, folder)
                finally:
                    sampling.cancel()
                    with suppress(asyncio.CancelledError):
                        await sampling
                wanted = len(visits) if plan.enough() else plan.jobs
                seen, faults = await _check(target, visits, wanted)
                record(folder, given.shape, wanted, target, seen, faults)
                return faults
        finally:
            if (logs := Path(data) / "logs").is_dir():
                shutil.copytree(logs, folder / "logs", dirs_exist_ok=True)


async def _run_load(given: Namespace, plan: options.LoadPlan, target: site.LoadTarget, folder: Path) -> list[Visit]:
    """Let the visitors come, follow them, and wait for the workers to leave."""
    visits = Visits(folder)
    with progress() as bars:
        bar = bars.add_task(f"{given.shape}: jobs done", total=plan.jobs, note="")
        async with open_generator(target.server, folder, _passed_on(given)) as generator:
            target.sampler.watch_generator(generator.pid)
            while generator.returncode is None:
                await asyncio.sleep(LOOK_SECONDS)
                visits.look()
                accepted, done = visits.count()
                now = target.sampler.looks[-1] if target.sampler.looks else None
                queue = f"queue {now.ready} + {now.in_flight}, workers {now.workers}" if now else ""
                bars.update(bar, completed=done, note=f"{accepted} accepted  {queue}")
            check(generator, folder)
        visits.look()
        bars.update(bar, completed=visits.count()[1], description="waiting for the workers to leave", note="")
        if not await target.sampler.until_empty(target.cooldown):
            note(f"workers were still there {target.cooldown:.0f} seconds after the last job; recorded until then")
        await asyncio.sleep(QUIET_SECONDS)
    return list(visits.by_number.values())


async def _check(
    target: site.LoadTarget, visits: Sequence[Visit], wanted: int
) -> tuple[list[checking.CheckedJob], list[str]]:
    """Every job as the server has it, and what is wrong. A server that is gone costs the answers, not the recording."""
    try:
        seen = await checking.look_up(target.client, visits)
        strangers = await checking.all_ids(target.client) - {visit.id for visit in visits} if target.private else set()
    except CliError as error:
        return [checking.CheckedJob(visit, None, ()) for visit in visits if visit.id], [
            f"no job could be looked up: {error}"
        ]
    return seen, checking.faults(wanted, visits, seen, strangers)


def _passed_on(given: Namespace) -> list[str]:
    names = ("shape", "jobs", "span", "request", "cancel", "poll", "patience", "until", "host_header")
    found = {name: getattr(given, name) for name in names}
    return [f"--{name.replace('_', '-')}={value}" for name, value in found.items() if value not in (None, "")]


def command_line() -> ArgumentParser:
    parser = ArgumentParser(prog="make load", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    options.add_options(parser)
    site.add_options(parser)
    parser.add_argument("--token", default=os.environ.get("ESSAIM_TOKEN", ""), help="who submits (ESSAIM_TOKEN)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where it is all kept; by default under .essaim/load")
    parser.add_argument("--json", action="store_true", help="the figures as one JSON document on standard output")
    return parser


def main() -> None:
    given = command_line().parse_args()
    folder = given.out or Path(".essaim", "load", f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{given.shape}")
    os.environ["ESSAIM_TOKEN"] = given.token  # the generator takes it from there, where no list of processes shows it
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not given.server:
            note("Essaim starts target, for this run only …")
        faults = run(load(given, folder))
        print_report([folder], write_report(folder), as_json=given.json)
    except typer.Exit as signal:
        sys.exit(signal.exit_code)
    except (EssaimError, OSError) as error:
        note(f"load: {error}")
        sys.exit(2)
    for fault in faults:
        note(f"WRONG: {fault}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()

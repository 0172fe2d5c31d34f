"""`essaim logs`: the timeline of one job, from Loki or from the files of this machine."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol
from uuid import UUID

import typer

from essaim.cli.errors import CliError
from essaim.cli.running import run

if TYPE_CHECKING:
    from essaim.cli.jobs.follow import Patience
    from essaim.cli.logs.timeline import LogLine

LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 30.0  # how long the first line may take to arrive
MARGIN = timedelta(minutes=1)  # between the clocks of two machines
LOOK_BACK = timedelta(days=7)  # how long jobs are kept by default
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
COLOURS = {"WARNING": typer.colors.YELLOW, "ERROR": typer.colors.RED}


class Source(Protocol):
    """A source of log lines."""

    async def news(self) -> "list[LogLine]":
        """The lines since the last call, in time order."""

    def absence(self) -> str:
        """Why there may be no lines about the job."""


def logs(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="The job's id.")],
    loki: Annotated[
        str,
        typer.Option(
            "--loki", envvar="ESSAIM_LOKI_URL", metavar="URL", help="Read from this Loki instead of local files."
        ),
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for new lines until the job has ended.")] = False,
    since: Annotated[
        str,
        typer.Option("--since", metavar="TIME", help="Only lines since then: 30m, 2h, 7d, or 2026-01-31T12:00:00Z."),
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each line as a JSON object with all its fields.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", help="Data folder of `essaim up`.", show_default="ESSAIM_DATA_DIR or .essaim"
        ),
    ] = None,
) -> None:
    """Show what happened to a job and when: submitted, claimed (by which worker), lost, retried, ended.

    Example: essaim logs 0199f3a2-7c1e-7b54-a1f0-3d5c9e8b2a10 --follow

    Example: essaim logs 0199f3a2-7c1e-7b54-a1f0-3d5c9e8b2a10 --loki http://127.0.0.1:3100
    """
    begin = _moment(since, datetime.now(UTC)) if since else None
    run(_logs(_checked(job_id), loki, begin, data, follow, as_json))


async def _logs(job: str, loki: str, since: datetime | None, data: Path | None, follow: bool, as_json: bool) -> None:
    async with _open(job, loki, since, data) as source:
        await _show(source, job, follow, as_json)


@asynccontextmanager
async def _open(job: str, loki: str, since: datetime | None, data: Path | None) -> AsyncIterator[Source]:
    if loki:
        from essaim.cli.logs.loki import Loki, open_loki

        async with open_loki(loki) as http:
            yield Loki(http, loki, job, since or _submitted(job))
    else:
        from essaim.cli.local.processes import log_folder
        from essaim.cli.logs.folder import LogFolder
        from essaim.jobs.settings import load_settings

        yield LogFolder(log_folder(load_settings(**({"data_dir": data} if data else {}))), job, since)


async def _show(source: Source, job: str, follow: bool, as_json: bool) -> None:
    """Print the timeline; with `follow`, until the job has ended and no more lines arrive."""
    from essaim.cli.jobs.follow import Patience
    from essaim.cli.logs.timeline import HEADING, Timeline

    timeline, patience, until = Timeline(), Patience(PATIENCE_SECONDS), time.monotonic() + PATIENCE_SECONDS
    while True:
        over, news = bool(timeline.end), await _news(source, patience if follow else None)
        if news and timeline.begun is None and not as_json:
            typer.echo(HEADING)
        for entry in timeline.entries(news):
            if as_json:
                typer.echo(json.dumps(dict(entry.line.fields)))
            elif entry.text:
                typer.secho(entry.text, fg=COLOURS.get(str(entry.line.fields.get("level"))))
        if not follow or (over and not news) or (timeline.begun is None and time.monotonic() > until):
            break
        await asyncio.sleep(LOOK_SECONDS)
    if timeline.begun is None:
        raise CliError(f"no log lines of job {job}: {source.absence()}")
    if not as_json:
        typer.echo(timeline.summary())


async def _news(source: Source, patience: "Patience | None") -> "list[LogLine]":
    try:
        news = await source.news()
    except CliError as error:
        if patience is None:
            raise
        patience.tolerate(error)
        return []
    if patience is not None:
        patience.answered()
    return news


def _checked(job_id: str) -> str:
    try:
        return str(UUID(job_id))
    except ValueError:
        raise CliError(f"not a job id: {job_id!r}") from None


def _submitted(job: str) -> datetime:
    """The earliest time of a line: a UUIDv7 contains its time; an id made from a key does not."""
    identity = UUID(job)
    now, seconds = datetime.now(UTC), (identity.int >> 80) / 1000
    if identity.version != 7 or seconds > now.timestamp():  # in the future: not a real time
        return now - LOOK_BACK
    return datetime.fromtimestamp(seconds, UTC) - MARGIN


def _moment(text: str, now: datetime) -> datetime:
    """The time of `--since`. Raises `CliError` if it is not one."""
    try:
        if found := re.fullmatch(r"(\d+)([smhd])", text):
            return now - timedelta(seconds=int(found[1]) * UNITS[found[2]])
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise CliError(f"--since {text}: write 30m, 2h, 7d, or a time as 2026-01-31T12:00:00Z") from None

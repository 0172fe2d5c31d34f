"""Progress bars on standard error if it is a terminal; otherwise nothing."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from essaim.cli.client import Client, JsonObject
from essaim.cli.jobs.files import File
from essaim.cli.jobs.follow import follow
from essaim.cli.output import printable
from essaim.units import plural, size


@contextmanager
def progress() -> Iterator[Progress]:
    """Bars that disappear when they are done."""
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(24),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield bars


def sending(bars: Progress, files: Collection[File]) -> Callable[[int], None]:
    """A bar for an upload; call the returned function with each number of bytes sent."""
    sizes = [file.size for file in files]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    bar = bars.add_task(f"sending {plural(len(sizes), 'file')}", total=total, note="")
    sent = 0

    def more(count: int) -> None:
        nonlocal sent
        sent += count
        bars.update(bar, completed=sent, note=size(sent))

    return more


async def until_ended(client: Client, job_id: str, bars: Progress) -> JsonObject:
    """Show a bar until the job has ended, and return it. Raises as `essaim.cli.jobs.follow.follow`."""
    bar = bars.add_task("waiting for a worker", total=1.0, note="")
    job: JsonObject = {}
    async for job in follow(client, job_id):
        tasks = "" if job["tasks"] is None else f"{job['tasks_ended']}/{plural(job['tasks'], 'task')}"
        saying = "running" if job["state"] == "running" else f"job is {job['state']}"
        bars.update(bar, completed=job["progress"], description=printable(saying), note=tasks)
    return job

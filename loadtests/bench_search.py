"""How fast a search is, against ripgrep on the same text and machine, and how much memory it takes.

    python loadtests/bench_search.py [--quick]

The text is the standard library's own source. The words are from its frequency list, in lower case: the most common, or
spread evenly over the list (the middle word of each of n equal slices). Ours is a whole job on a local text store: split, run
every task, merge, one after the other. ripgrep runs once per word, as our counts are per word; its start, some 3 ms, counts.
Both only count matches, unless a row says otherwise. The two take turns, and the middle of the rounds is compared. Goals are
for processor time (ours with what the store takes in its own threads), since other work on the machine disturbs it less than
the time by the clock, which stands beside it.
"""

import argparse
import asyncio
import re
import resource
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from essaim.jobs.adapters.texts.opening import open_texts
from essaim.jobs.adapters.texts.store import ObjectTexts
from essaim_words.payload import MIB, Request, Result, TaskResult
from essaim_words.workload import merge, run, split
from essaim_worker.attempt import Attempt, Texts

RIPGREP = Path(sys.executable).with_name("rg")
MB = 1_000_000
WIDTH = 47


class Engine:
    """A local text store, and the event loop that its calls cross to."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop, store: ObjectTexts) -> None:
        self.folder, self.loop, self.store = folder, loop, store
        self.texts = Texts(store, loop)

    def put(self, name: str, data: bytes, times: int) -> None:
        """A text of some bytes so many times over."""

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(times):
                yield data

        asyncio.run_coroutine_threadsafe(self.store.put(name, chunks(), limit=sys.maxsize), self.loop).result()

    def search(self, request: Request) -> Result:
        """A whole job."""

        async def save(progress: float, checkpoint: bytes) -> None:
            """There is no next attempt."""

        def results() -> Iterator[TaskResult]:
            for task in split(request, self.texts):
                yield run(
                    request, task, Attempt(number=1, checkpoint=None, texts=self.texts, save=save, loop=self.loop)
                )

        return merge(request, results())


@contextmanager
def open_engine(folder: Path) -> Iterator[Engine]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    opening = open_texts(folder.as_uri(), "texts")
    try:
        yield Engine(folder, loop, asyncio.run_coroutine_threadsafe(opening.__aenter__(), loop).result())
    finally:
        asyncio.run_coroutine_threadsafe(opening.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def sources(*, tests: bool) -> bytes:
    """The standard library's own sources in a row."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    left_out = {"site-packages"} if tests else {"site-packages", "test", "tests", "idle_test"}
    paths = sorted(path for path in folder.rglob("*.py") if left_out.isdisjoint(path.relative_to(folder).parts))
    return b"".join(path.read_bytes() for path in paths)


def by_frequency(text: bytes) -> list[str]:
    found = re.findall(r"[^\W\d]\w*", text.decode(errors="replace").lower())
    return [word for word, _ in Counter(found).most_common()]


def spread(words: list[str], count: int) -> list[str]:
    return [words[(2 * index + 1) * len(words) // (2 * count)] for index in range(count)]


@dataclass
class Row:
    """One question to both. `goal` is the least ratio of our throughput to ripgrep's; None: only good to know."""

    name: str
    text: str
    words: list[str]
    goal: float | None
    rounds: int
    ignore_case: bool = True
    positions: int = 0


@dataclass
class Run:
    """What a run counted, and the seconds it took, of processors and by the clock."""

    counts: dict[str, int]
    processor: float
    clock: float


def measure(count: Callable[[], dict[str, int]], who: int) -> Run:
    before, start = resource.getrusage(who), time.perf_counter()
    counts = count()
    after, end = resource.getrusage(who), time.perf_counter()
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(counts, processor, end - start)


def ripgrep(path: Path, row: Row) -> dict[str, int]:
    flags = ["--count-matches", "-j1", "-F", "-a", "-E", "none", "-w", *(["-i"] if row.ignore_case else [])]
    runs = {word: subprocess.run([RIPGREP, *flags, "--", word, path], capture_output=True) for word in row.words}
    return {word: int(done.stdout or 0) for word, done in runs.items()}


def compare(engine: Engine, row: Row) -> bool:
    """Print the row. Whether the counts are equal, and the goal is reached."""
    path = engine.folder / "texts" / row.text
    request = Request(
        words=row.words, texts=[row.text], ignore_case=row.ignore_case, positions=row.positions, piece_bytes=32 * MIB
    )
    ours: list[Run] = []
    theirs: list[Run] = []
    for number in range(2 * row.rounds):
        if number % 4 in (0, 3):
            ours.append(measure(lambda: engine.search(request).counts, resource.RUSAGE_SELF))
        else:
            theirs.append(measure(lambda: ripgrep(path, row), resource.RUSAGE_CHILDREN))
    equal = all(done.counts == ours[0].counts for done in ours + theirs)
    used = statistics.median(done.processor for done in ours)
    processor = statistics.median(done.processor for done in theirs) / used
    clock = statistics.median(done.clock for done in theirs) / statistics.median(done.clock for done in ours)
    size = path.stat().st_size / MB
    reached = row.goal is None or processor >= row.goal
    goal = "" if row.goal is None else f"{row.goal:g}x{'' if reached else ' MISSED'}"
    matches = f"{sum(ours[0].counts.values()):,}" if equal else "COUNTS DIFFER"
    print(
        f"{row.name:{WIDTH}}{size:4.0f}{matches:>14}{size / used:6.0f}{processor:9.2f}x{clock:7.2f}x  {goal}",
        flush=True,
    )
    return equal and reached


def compare_all(engine: Engine, *, quick: bool) -> bool:
    everything, library = sources(tests=True), sources(tests=False)
    times = 1 if quick else 1 + 200 * MB // len(everything)
    engine.put("large", everything, times)
    engine.put("library", library[: 2 * MB] if quick else library, 1)
    words = by_frequency(library[: 2 * MB] if quick else library)
    rounds = 2 if quick else 5
    rows = [
        Row("1 word, the most common", "large", words[:1], 0.5, rounds, ignore_case=False),
        Row("1 word, rare", "large", spread(words, 1), 0.5, rounds, ignore_case=False),
        Row("1 word, rare, and 3 positions", "large", spread(words, 1), None, rounds, ignore_case=False, positions=3),
        Row("100 words ignoring case, spread", "library", spread(words, 100), 10, rounds),
        Row("100 words ignoring case, the most common", "library", words[:100], None, rounds),
        Row("100 words ignoring case, spread, a long text", "large", spread(words, 100), None, 1),
        Row("1000 words ignoring case, spread", "library", spread(words, 1000), 20, 1 if quick else 3),
        Row("1000 words ignoring case, the most common", "library", words[:1000], None, 1 if quick else 3),
    ]
    print(f"{'':{WIDTH}}{'MB':>4}{'matches':>14}{'MB/s':>6}{'processor':>10}{'clock':>8}  goal")
    met = [compare(engine, row) for row in rows]  # each row is printed, whatever the one before said
    return all(met)


def compare_memory(engine: Engine) -> bool:
    """Print what a process takes that searches 200 MB, and 2 GB. Whether that differs by no more than chunks in flight."""
    data = sources(tests=True)[: 20 * MB]
    words = spread(by_frequency(data[: 4 * MB]), 100)
    peaks = []
    for name, times in (("200 MB", 10), ("2 GB", 100)):
        engine.put(name, data, times)
        command = [sys.executable, __file__, "--peak", str(engine.folder), name, *words]
        peaks.append(float(subprocess.run(command, capture_output=True, check=True, text=True).stdout) / 1000)
        print(f"peak memory, 100 words ignoring case, 3 positions, {name:>6}: {peaks[-1]:.0f} MB", flush=True)
    is_flat = peaks[1] - peaks[0] < 3 * 8 * MIB / MB
    print(f"{'':{WIDTH}}{'flat' if is_flat else 'MISSED: it grows'}")
    return is_flat


def print_peak(folder: str, name: str, words: list[str]) -> None:
    with open_engine(Path(folder)) as engine:
        engine.search(Request(words=words, texts=[name], ignore_case=True))
    # Not `ru_maxrss`: a child's begins with its parent's.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(status["VmHWM"].split()[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small texts, few rounds, no 2 GB: for a look")
    parser.add_argument("--peak", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        folder, name, *words = options.peak
        print_peak(folder, name, words)
        return 0
    with tempfile.TemporaryDirectory() as folder, open_engine(Path(folder)) as engine:
        good = compare_all(engine, quick=options.quick)
        good = (options.quick or compare_memory(engine)) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

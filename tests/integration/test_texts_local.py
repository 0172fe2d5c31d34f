"""What the local text store does with a real file system: crashes, links, full disks, and memory."""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from jobs.adapters.texts.opening import open_texts
from jobs.adapters.texts.store import ObjectTexts
from jobs.errors import SettingsError, TextExistsError, TextNameError, TextNotFoundError, UnavailableError

MIB = 1024 * 1024
ROOT = Path(__file__).parents[2]

SCRIPT = """
import asyncio, json, os, resource, sys
from pathlib import Path
from jobs.adapters.texts.opening import open_texts
from jobs.errors import EssaimError

CHUNK = bytes(65536)

async def stream(size):
    for _ in range(size // len(CHUNK)):
        yield CHUNK

async def main(url, size):
    async with open_texts(url, "texts") as texts:
"""


def script(body: str, folder: Path, size: int = 0) -> Sequence[str]:
    lines = "".join(f"        {line}\n" for line in body.strip().splitlines())
    return [sys.executable, "-c", f"{SCRIPT}{lines}asyncio.run(main({folder.as_uri()!r}, {size}))"]


def run(body: str, folder: Path, size: int = 0) -> Any:
    """Run the lines in a process of their own, with `texts` open. Returns what they print, as JSON."""
    done = subprocess.run(script(body, folder, size), cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
async def texts(tmp_path: Path) -> AsyncIterator[ObjectTexts]:
    async with open_texts(tmp_path.as_uri(), "texts") as store:
        yield store


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def put(texts: ObjectTexts, name: str, data: bytes = b"x", *, overwrite: bool = True) -> None:
    await texts.put(name, chunks(data), limit=100 * MIB, overwrite=overwrite)


async def names(texts: ObjectTexts, pattern: str = "**") -> Sequence[str]:
    return [text.name for text in await texts.list(pattern)]


def files(folder: Path) -> set[str]:
    """Every file there is, but for locks."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() and path.name != "lock"}


# Memory


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_memory_stays_flat_whatever_the_size(tmp_path: Path) -> None:
    body = """
await texts.put("a", stream(size), limit=size)
read = 0
async with texts.open("a") as pieces:
    async for piece in pieces:
        read += len(piece)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps([read, int(status["VmHWM"].split()[0])]))
"""
    peaks = []
    for size in (128 * MIB, 1280 * MIB):
        read, peak = run(body, tmp_path, size)
        assert read == size
        peaks.append(peak)
    assert peaks[1] < 1.3 * peaks[0], peaks


# Crashes


async def test_what_a_killed_process_left_is_never_listed_and_soon_gone(
    tmp_path: Path, eventually: Callable[..., Awaitable[Any]]
) -> None:
    endless = """
async def endless():
    while True:
        yield CHUNK
await texts.put("a/b", endless(), limit=10**12)
"""
    folder = tmp_path / "texts"
    writer = subprocess.Popen(script(endless, tmp_path), cwd=ROOT)
    try:
        await eventually(lambda: any((folder / name).stat().st_size > 20 * MIB for name in files(folder)))
        async with open_texts(tmp_path.as_uri(), "texts") as texts:
            assert await names(texts) == []
            assert files(folder), "the writer still lives, and what it writes is not removed"
    finally:
        writer.kill()
        writer.wait()
    assert files(folder)
    async with open_texts(tmp_path.as_uri(), "texts") as texts:
        assert files(folder) == set()
        await put(texts, "a/b")
        assert await names(texts) == ["a/b"]


async def test_opening_the_store_again_disturbs_no_writer(texts: ObjectTexts, tmp_path: Path) -> None:
    async def interrupted() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield bytes(2 * MIB)
            async with open_texts(tmp_path.as_uri(), "texts") as other:
                assert await names(other) == []

    assert (await texts.put("a", interrupted(), limit=16 * MIB)).size == 16 * MIB


@pytest.mark.parametrize("size", [1, 12 * MIB])
async def test_a_failed_put_leaves_no_file(texts: ObjectTexts, tmp_path: Path, size: int) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield bytes(size)
        raise ConnectionResetError

    for overwrite in (True, False):
        with pytest.raises(ConnectionResetError):
            await texts.put("a/b", breaking(), limit=size, overwrite=overwrite)
        cancelled = asyncio.create_task(put(texts, "a/b", bytes(size), overwrite=overwrite))
        await asyncio.sleep(0)  # it has begun; whether it gets far is left to chance
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
    assert not any(".staging" in name for name in files(tmp_path / "texts"))


async def test_a_closed_store_leaves_texts_only(tmp_path: Path) -> None:
    async with open_texts(tmp_path.as_uri(), "texts") as texts:
        await put(texts, "a/b")
    assert files(tmp_path) == {"texts/a/b"}
    assert list((tmp_path / "texts" / ".staging").iterdir()) == [tmp_path / "texts" / ".staging" / "lock"]


# Links


async def test_links_lead_nowhere(texts: ObjectTexts, tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "texts"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (inside / "folder").symlink_to(outside)
    (inside / "file").symlink_to(outside / "secret")
    (inside / "everything").symlink_to("/")
    (inside / "loop").symlink_to(inside)
    (inside / "broken").symlink_to("nowhere")
    await put(texts, "real/text")
    (inside / "real" / "up").symlink_to("..")

    for pattern in ("**", "*", "*/*", "folder/*", "folder/secret", "file", "loop/**", "everything/etc/*", "real/up/**"):
        assert set(await names(texts, pattern)) <= {"real/text"}, pattern
    for name in ("folder/secret", "file", "loop/real/text", "real/up/real/text", "everything/etc/passwd", "broken"):
        with pytest.raises(TextNotFoundError):
            await texts.stat(name)
        with pytest.raises(TextNotFoundError):
            await texts.read(name, 0, 1)
        with pytest.raises(TextNotFoundError):
            async with texts.open(name):
                pass
        with pytest.raises(TextNotFoundError):
            await texts.delete(name)
    for name in ("folder/new", "folder/secret", "loop/new", "real/up/new", "everything/tmp/new"):
        with pytest.raises(TextNameError, match="is a symbolic link"):
            await put(texts, name)

    await put(texts, "file", b"mine")  # takes the link's place
    assert await texts.read("file", 0, 9) == b"mine"
    assert (outside / "secret").read_bytes() == b"secret"
    assert [path.name for path in outside.iterdir()] == ["secret"]


# What a file system cannot have


async def test_a_text_in_a_folders_place_is_refused_with_a_sentence(texts: ObjectTexts) -> None:
    await put(texts, "a/b/c")
    for overwrite in (True, False):
        with pytest.raises(TextNameError, match=r"^'a/b' cannot be stored: it is a folder of other texts$"):
            await put(texts, "a/b", overwrite=overwrite)
        with pytest.raises(TextNameError, match=r"^'a/b/c/d/e' cannot be stored: 'a/b/c' is a text, no folder$"):
            await put(texts, "a/b/c/d/e", overwrite=overwrite)


async def test_an_empty_folder_blocks_no_name(texts: ObjectTexts, tmp_path: Path) -> None:
    (tmp_path / "texts" / "a").mkdir()
    (tmp_path / "texts" / "b").mkdir()
    await put(texts, "a")
    await put(texts, "b", overwrite=False)
    assert await names(texts) == ["a", "b"]


async def test_two_texts_that_meet_in_one_place_do_not_mix(texts: ObjectTexts) -> None:
    """Both were free when they began; one of them is told when it ends."""
    both = asyncio.Barrier(2)

    async def meeting() -> AsyncIterator[bytes]:
        await both.wait()
        yield b"x"

    puts = [texts.put(name, meeting(), limit=1, overwrite=False) for name in ("a", "a/b")]
    ends = await asyncio.gather(*puts, return_exceptions=True)
    refused = [end for end in ends if isinstance(end, TextNameError | TextExistsError)]
    assert len(refused) == 1, ends
    assert len(await names(texts)) == 1


async def test_deleting_beside_writing_loses_no_text(texts: ObjectTexts) -> None:
    """The last text takes its folder with it, while another is about to be put there."""

    async def come_and_go(name: str) -> None:
        for number in range(100):
            await put(texts, name, b"%d" % number, overwrite=number % 2 == 0)
            assert await texts.read(name, 0, 9) == b"%d" % number
            await texts.delete(name)

    await asyncio.gather(*(come_and_go(f"a/b/{name}") for name in "xyz"))
    assert await names(texts) == []


async def test_files_put_there_by_hand_are_texts_if_they_have_a_name_for_it(texts: ObjectTexts, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    (folder / "books").mkdir()
    for name in ("books/by hand.txt", ".hidden", "books/.hidden", "a#1", "a*", "a?", "a\\b", "a\nb", "C:"):
        (folder / name).write_bytes(b"by hand")
    (Path(f"{folder}/").joinpath("\udcff")).write_bytes(b"no UTF-8")
    assert await names(texts) == ["books/by hand.txt"]
    assert await texts.read("books/by hand.txt", 0, 99) == b"by hand"


# What an administrator has to mend

SENTENCE = r"^the text store cannot be used now: .{1,80}$"


@pytest.mark.skipif(sys.platform != "linux", reason="limits file sizes as Linux does")
def test_a_full_disk_is_an_error_of_ours_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the file size stands for the disk: the kernel refuses the write in the same place."""
    body = """
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
errors = []
for size in (2**21, 2**25):
    for overwrite in (True, False):
        try:
            await texts.put("a", stream(size), limit=size, overwrite=overwrite)
        except EssaimError as error:
            errors.append([type(error).__name__, str(error)])
left = [str(path) for path in Path("/").joinpath(url.removeprefix("file://"), "texts").rglob("*") if path.is_file()]
print(json.dumps([errors, [path for path in left if not path.endswith("lock")]]))
"""
    errors, left = run(body, tmp_path)
    assert errors == [["UnavailableError", "the text store cannot be used now: File too large"]] * 4
    assert left == []


def test_a_refused_permission_is_an_error_of_ours() -> None:
    """Root may do anything, so the process becomes somebody else once the store is open."""
    body = """
os.umask(0)
await texts.put("in/a", stream(65536), limit=65536)
folder = Path(url.removeprefix("file://"), "texts")
async def read():
    async with texts.open("in/a"):
        pass
calls = {
    "stat": lambda: texts.stat("in/a"),
    "read": lambda: texts.read("in/a", 0, 1),
    "open": read,
    "list": lambda: texts.list("**"),
    "put": lambda: texts.put("in/a", stream(65536), limit=65536),
    "create": lambda: texts.put("in/b", stream(65536), limit=65536, overwrite=False),
    "delete": lambda: texts.delete("in/a"),
}
(folder / "in").chmod(0)
if os.getuid() == 0:
    os.setuid(65534)
errors = {}
for name, call in calls.items():
    try:
        await call()
    except EssaimError as error:
        errors[name] = [type(error).__name__, str(error)]
print(json.dumps(errors))
if os.getuid() == (folder / "in").stat().st_uid:
    (folder / "in").chmod(0o700)
"""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        errors = run(body, Path(folder))
    expected = ["UnavailableError", "the text store cannot be used now: Permission denied"]
    assert errors == dict.fromkeys(("stat", "read", "open", "list", "put", "create", "delete"), expected)


async def test_a_root_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match=SENTENCE):
        async with open_texts((tmp_path / "file").as_uri(), "texts"):
            pass


# Where it is


@pytest.mark.parametrize("name", ["plain", "with space", "é日", "100%", "a#b", "a?b", "[x]", "%20", "a;b"])
async def test_a_url_names_any_folder_and_makes_it(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name / "deeper"
    async with open_texts(folder.as_uri(), "texts") as texts:
        await put(texts, "a/b", b"here")
        assert await names(texts) == ["a/b"]
        assert await texts.read("a/b", 0, 9) == b"here"
    assert (folder / "texts" / "a" / "b").read_bytes() == b"here"


@pytest.mark.parametrize(
    "url", ["file://data", "file://data/texts", "file:data", "file:", "file:///data#1", "file:///a?b"]
)
async def test_a_url_that_would_name_another_folder_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"file:///absolute/path"):
        async with open_texts(url, "texts"):
            pass


async def test_texts_and_results_do_not_meet(tmp_path: Path) -> None:
    async with open_texts(tmp_path.as_uri(), "texts") as texts, open_texts(tmp_path.as_uri(), "results") as results:
        await put(texts, "a")
        assert await names(texts) == ["a"]
        assert await names(results) == []

"""Memory stays flat, and what breaks off leaves nothing."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from essaim.jobs.adapters.texts.opening import open_texts
from essaim.jobs.adapters.texts.store import ObjectTexts
from tests.conftest import ROOT, eventually
from tests.contract.texts import MIB, names, put
from tests.integration.local_texts.conftest import files, run, script


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


async def test_what_a_killed_process_left_is_never_listed_and_soon_gone(tmp_path: Path) -> None:
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

"""What an administrator has to mend is an error of ours."""

import sys
import tempfile
from pathlib import Path

import pytest

from essaim.errors import UnavailableError
from essaim.jobs.adapters.texts.opening import open_texts
from tests.integration.local_texts.conftest import run

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

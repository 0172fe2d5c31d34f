"""One job over local files, which are stored as texts while it runs."""

import asyncio
import re
import secrets
from collections.abc import Sequence
from pathlib import PurePath

from essaim.cli.client import Client, JsonObject
from essaim.cli.jobs.commands import check_succeeded
from essaim.cli.jobs.files import File
from essaim.cli.jobs.progress import progress, sending, until_ended
from essaim.cli.jobs.texts import every, remove
from essaim.cli.jobs.upload import upload
from essaim.cli.output import note

UNSAFE = re.compile(r"[^\w .,()+=@-]|^\.")
NAME_CHARACTERS = 100


class Batch:
    """Files under unique names. `files` maps each text's name to its file; `pattern` matches all of them."""

    def __init__(self, files: Sequence[File]) -> None:
        self._folder = f"batch-{secrets.token_hex(6)}"
        self.pattern = f"{self._folder}/**"
        self.files = {f"{self._folder}/{number}/{_safe(file.name)}": file for number, file in enumerate(files)}

    async def run(self, client: Client, request: JsonObject, *, private: bool) -> JsonObject:
        """Send the files, run the job, remove the texts. Returns the job with its result, however large.

        If cancelled, a job on a `private` server ends with that server; elsewhere it keeps running, and a note says so.
        Raises `JobUnsuccessfulError`.
        """
        job: JsonObject | None = None
        try:
            with progress() as bars:
                await upload(client, list(self.files.items()), sending(bars, self.files.values()))
                job = await client.submit(request)
                ended = await until_ended(client, job["id"], bars)
            check_succeeded(ended)
            ended["result"] = await client.get(f"/v1/jobs/{job['id']}/result")
        except asyncio.CancelledError:
            if job is not None and not private:
                note(f"the job keeps running: `essaim watch {job['id']}`; texts: `essaim texts rm '{self.pattern}'`")
            else:
                await self._clean(client, private)
                note("cancelled and cleaned up")
            raise
        except BaseException:
            await self._clean(client, private)
            raise
        await self._clean(client, private)
        return ended

    async def _clean(self, client: Client, private: bool) -> None:
        if not private:  # a private server is removed with all its data
            await remove(client, [text["name"] for text in await every(client, self.pattern)])


def _safe(name: str) -> str:
    """The file's name, without characters that are not allowed in the name of a text."""
    return UNSAFE.sub("_", PurePath(name).name)[:NAME_CHARACTERS] or "_"

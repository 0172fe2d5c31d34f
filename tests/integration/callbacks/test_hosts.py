"""Whom a worker calls when a job has ended, and whom it never does."""

import re
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from essaim.jobs.model import State
from tests.integration.callbacks.conftest import Site
from tests.receiver import Receiver
from tests.servers import absent


async def test_no_worker_calls_inside_the_network_unless_that_is_said(site: Site, receiver: Receiver) -> None:
    """The name is on the list, and where it leads to is found out when it is called."""
    job = await site.submit(f"https://localhost:{receiver.port}/")
    site.house.start(ESSAIM_CALLBACK_PRIVATE_ADDRESSES="false")
    (letter,) = await site.until(site.backends.queue.dead_letters)
    assert re.search(r"localhost is at (127\.0\.0\.1|::1), which may not be called", letter.reason)
    assert (await site.service.get(job.id)).state is State.SUCCEEDED
    assert receiver.connections == 0


async def test_a_host_that_is_no_longer_on_the_list_is_not_called(site: Site, receiver: Receiver) -> None:
    await site.submit(receiver.url)
    site.house.start(ESSAIM_CALLBACK_HOSTS="hooks.example.com")
    (letter,) = await site.until(site.backends.queue.dead_letters)
    assert "is not among those that may be called" in letter.reason
    assert receiver.connections == 0


@pytest.mark.parametrize(("name", "heard"), [("localhost", True), ("other.example", False)])
async def test_the_receivers_certificate_must_be_that_of_its_host(
    site: Site, tmp_path: Path, name: str, heard: bool
) -> None:
    """The connection goes to the address that was looked at, and the certificate is still that of the name."""
    receiver = Receiver()
    async with receiver.serve(tls=certified(tmp_path, name)):
        site.house.start(SSL_CERT_FILE=str(tmp_path / "cert.pem"))
        await site.submit(f"https://localhost:{receiver.port}/")
        await site.logged(r"callback\.(delivered|delayed).*")
    assert bool(receiver.calls) is heard, site.house.logs()
    assert heard or "CERTIFICATE_VERIFY_FAILED" in site.house.logs()


async def test_who_calls_is_told_to_the_host_it_asked_for(site: Site, receiver: Receiver) -> None:
    site.house.start()
    await site.submit(f"http://localhost:{receiver.port}/x")
    await site.until(lambda: receiver.calls)
    assert receiver.calls[0].headers["host"] == f"localhost:{receiver.port}"


def certified(folder: Path, name: str) -> ssl.SSLContext:
    """A server that has a certificate for this name, which it made itself."""
    if shutil.which("openssl") is None:
        absent("no openssl to make a certificate with")
    files = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    of = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *files, *of]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context

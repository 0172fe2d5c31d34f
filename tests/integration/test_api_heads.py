"""RFC 9112 §2–7 and RFC 9110 §7 and §10.1.1 as a list, a line each, against the API's process over raw sockets."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator

import h11
import httpx
import pytest

from essaim_api.connection import RequestParser
from tests.integration.essaim_command import environment

GET = "GET /livez HTTP/1.1\r\nHost: x\r\n"
PUT = "PUT /v1/texts/p HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
CHUNKED = PUT + "Transfer-Encoding: chunked\r\n\r\n"
CLOSE = "Connection: close\r\n\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("api")
    variables = environment(ESSAIM_DATA_DIR=str(folder), ESSAIM_API_PORT="0", ESSAIM_IDLE_SECONDS="3")
    command = [sys.executable, "-P", "-m", "essaim_api"]
    with subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        ports = (re.search(r"api\.listening address=http://127\.0\.0\.1:(\d+)", line) for line in process.stderr)
        yield next(int(found[1]) for found in ports if found)
        process.terminate()


def exchange(port: int, message: str) -> bytes:
    """All that comes until the server closes."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(60)
        client.sendall(message.encode("latin-1"))
        return client.makefile("rb").read()


HEADS = {
    "a path": (GET + CLOSE, 200),
    "an absolute http URL": ("GET http://other:80/livez?x HTTP/1.1\r\nHost: x\r\n" + CLOSE, 200),
    "an absolute https URL": ("GET HTTPS://other/livez HTTP/1.1\r\nHost: x\r\n" + CLOSE, 200),
    "an absolute URL without a path": ("GET http://x HTTP/1.1\r\nHost: x\r\n" + CLOSE, 200),
    "an absolute URL with only a query": ("GET http://x?y HTTP/1.1\r\nHost: x\r\n" + CLOSE, 200),
    "an absolute URL without a host": ("GET http:///livez HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "another scheme": ("GET ftp://x/livez HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "an authority": ("GET x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "CONNECT": ("CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "CONNECT with a path": ("CONNECT /livez HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "an asterisk": ("OPTIONS * HTTP/1.1\r\nHost: x\r\n" + CLOSE, 404),
    "an asterisk with GET": ("GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "no slash": ("GET livez HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a fragment": ("GET /livez#x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a space in the target": ("GET /li vez HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a control character in the target": ("GET /li\x01vez HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a byte beyond ASCII in the target": ("GET /liv\xe9z HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "two spaces": ("GET  /livez HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a space behind the version": ("GET /livez HTTP/1.1 \r\nHost: x\r\n\r\n", 400),
    "no version": ("GET /livez\r\n\r\n", 400),
    "a lower-case version": ("GET /livez http/1.1\r\nHost: x\r\n\r\n", 400),
    "HTTP/0.9": ("GET /livez HTTP/0.9\r\nHost: x\r\n\r\n", 400),
    "HTTP/1.2": ("GET /livez HTTP/1.2\r\nHost: x\r\n" + CLOSE, 200),
    "HTTP/2.0": ("GET /livez HTTP/2.0\r\nHost: x\r\n\r\n", 400),
    "the preface of HTTP/2": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "an unknown method": ("BREW /livez HTTP/1.1\r\nHost: x\r\n" + CLOSE, 405),
    "methods have a case": ("get /livez HTTP/1.1\r\nHost: x\r\n" + CLOSE, 405),
    "no Host": ("GET /livez HTTP/1.1\r\n\r\n", 400),
    "no Host in HTTP/1.0": ("GET /livez HTTP/1.0\r\n\r\n", 200),
    "two Hosts": (GET + "Host: x\r\n\r\n", 400),
    "two Hosts in HTTP/1.0": ("GET /livez HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n", 400),
    "an empty Host": ("GET /livez HTTP/1.1\r\nHost:\r\n" + CLOSE, 200),
    "an IPv6 Host": ("GET /livez HTTP/1.1\r\nHost: [::1]:80\r\n" + CLOSE, 200),
    "a space in Host": ("GET /livez HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "a path in Host": ("GET /livez HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "a user in Host": ("GET /livez HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    "a port that is no number": ("GET /livez HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
    "an empty line before": ("\r\n" + GET + CLOSE, 200),
    "two empty lines before": ("\r\n\r\n" + GET + CLOSE, 400),
    "an empty line and no more": ("\r\n", 408),
    "a carriage return and no more": ("\r", 408),
    "a carriage return before": ("\r" + GET + CLOSE, 400),
    "a bare LF before": ("\n" + GET + CLOSE, 400),
    "white space before a colon": (GET + "X : y\r\n\r\n", 400),
    "no colon": (GET + "X\r\n\r\n", 400),
    "no name": (GET + ": y\r\n\r\n", 400),
    "a folded line": (GET + "X: a\r\n b\r\n" + CLOSE, 200),
    "a folded first line": ("GET /livez HTTP/1.1\r\n X: a\r\nHost: x\r\n\r\n", 400),
    "a bare CR in a value": (GET + "X: a\rb\r\n\r\n", 400),
    "a bare CR as the end of lines": ("GET /livez HTTP/1.1\rHost: x\r\r", 408),
    "a bare LF as the end of lines": ("GET /livez HTTP/1.1\nHost: x\nConnection: close\n\n", 200),
    "NUL in a value": (GET + "X: a\0b\r\n\r\n", 400),
    "a long target": ("GET /" + "x" * 70_000 + " HTTP/1.1\r\nHost: x\r\n\r\n", 431),
    "a long value": (GET + "X: " + "y" * 70_000 + "\r\n\r\n", 431),
    "many fields": (GET + "X: y\r\n" * 20_000 + "\r\n", 431),
}
FRAMINGS = {
    "a length": (PUT + "Content-Length: 1\r\n\r\nx", 200),
    "one length twice": (PUT + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 200),
    "one length as a list": (PUT + "Content-Length: 1, 1\r\n\r\nx", 200),
    "two lengths": (PUT + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400),
    "two lengths as a list": (PUT + "Content-Length: 1, 2\r\n\r\nx", 400),
    "a length with a sign": (PUT + "Content-Length: +1\r\n\r\nx", 400),
    "a negative length": (PUT + "Content-Length: -1\r\n\r\nx", 400),
    "a hexadecimal length": (PUT + "Content-Length: 0x1\r\n\r\nx", 400),
    "an empty length": (PUT + "Content-Length:\r\n\r\nx", 400),
    "an endless length": (PUT + "Content-Length: " + "9" * 30 + "\r\n\r\nx", 400),
    "a length and chunks": (PUT + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 400),
    "chunks in HTTP/1.0": (CHUNKED.replace("/1.1", "/1.0") + "1\r\nx\r\n0\r\n\r\n", 400),
    "codings have no case": (CHUNKED.replace("chunked", "ChunKed") + "1\r\nx\r\n0\r\n\r\n", 200),
    "gzip": (PUT + "Transfer-Encoding: gzip\r\n\r\nx", 501),
    "gzip in chunks": (PUT + "Transfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 501),
    "an unknown coding": (PUT + "Transfer-Encoding: xchunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 501),
    "chunked twice": (PUT + "Transfer-Encoding: chunked, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 501),
    "chunked in two fields": (PUT + "Transfer-Encoding: chunked\r\n" * 2 + "\r\n1\r\nx\r\n0\r\n\r\n", 501),
    "identity": (PUT + "Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx", 501),
    "a chunk extension": (CHUNKED + '1;a=b;c="d;e"\r\nx\r\n0;f\r\n\r\n', 200),
    "a bare LF in an extension": (CHUNKED + "1;a\nb\r\nx\r\n0\r\n\r\n", 400),
    "an endless extension": (CHUNKED + "1;" + "a" * 70_000, 431),
    "a trailer": (CHUNKED + "1\r\nx\r\n0\r\nA: b\r\n\r\n", 200),
    "a trailer without a colon": (CHUNKED + "1\r\nx\r\n0\r\nA b\r\n\r\n", 400),
    "a size with 0x": (CHUNKED + "0x1\r\nx\r\n0\r\n\r\n", 400),
    "a negative size": (CHUNKED + "-1\r\nx\r\n0\r\n\r\n", 400),
    "a size behind white space": (CHUNKED + " 1\r\nx\r\n0\r\n\r\n", 400),
    "an empty size": (CHUNKED + "\r\nx\r\n0\r\n\r\n", 400),
    "an endless size": (CHUNKED + "1" + "0" * 30 + "\r\nx\r\n0\r\n\r\n", 400),
    "more than the size": (CHUNKED + "1\r\nxy\r\n0\r\n\r\n", 400),
    "bare LFs between chunks": (CHUNKED + "1\nx\n0\n\n", 408),
}


@pytest.mark.parametrize(("message", "status"), (HEADS | FRAMINGS).values(), ids=HEADS | FRAMINGS)
def test_a_request_line_field_or_body_as_the_rfcs_have_it(port: int, message: str, status: int) -> None:
    if message.startswith("PUT"):
        exchange(port, PUT + "Content-Length: 1\r\n\r\n-")
    found = exchange(port, message)
    assert re.findall(rb"HTTP/1\.1 (\d+)", found) == [b"%d" % status], found
    assert status < 400 or b"application/problem+json" in found
    if message.startswith("PUT"):
        stored = exchange(port, "GET /v1/texts/p HTTP/1.1\r\nHost: x\r\n" + CLOSE)
        assert stored.endswith(b"\r\n\r\n" + (b"x" if status == 200 else b"-"))


def test_an_empty_line_before_each_request_is_ignored(port: int) -> None:
    put = PUT.replace("Connection: close", "X: y") + "Content-Length: 1\r\n\r\nx\r\n"
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", exchange(port, put * 3 + GET + CLOSE))
    assert statuses[1:] == [b"200"] * 3


def test_an_empty_line_may_come_in_two_pieces() -> None:
    parser = RequestParser()
    for piece in (b"\r", b"\n"):
        parser.receive_data(piece)
        assert parser.next_event() is h11.NEED_DATA
    parser.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert isinstance(parser.next_event(), h11.Request)


def test_only_a_body_that_is_wanted_is_asked_for(port: int) -> None:
    asked = "Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx"
    assert re.findall(rb"HTTP/1\.1 (\d+)", exchange(port, PUT + asked))[0] == b"100"
    old = PUT.replace("/1.1", "/1.0") + asked
    assert re.findall(rb"HTTP/1\.1 (\d+)", exchange(port, old)) == [b"200"], "HTTP/1.0 has no interim answers"


def test_an_answer_to_http_1_0_ends_with_its_connection(port: int) -> None:
    """An answer whose length nobody knows beforehand, as that of events, is neither chunked nor kept open."""
    url = f"http://127.0.0.1:{port}"
    job = httpx.post(f"{url}/v1/jobs", json={"words": ["a"], "text": "a"}, trust_env=False).json()["id"]
    httpx.delete(f"{url}/v1/jobs/{job}", trust_env=False)
    for fields in ("", "Connection: keep-alive\r\n"):
        head, _, body = exchange(port, f"GET /v1/jobs/{job}/events HTTP/1.0\r\n{fields}\r\n").partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        assert b"transfer-encoding" not in head.lower()
        assert body.startswith(b"retry: "), body
        assert b"event: end" in body


def test_a_segment_behind_the_last_request_does_not_replace_its_answer(port: int) -> None:
    """Seen only once the request is open: the job is there."""
    url = f"http://127.0.0.1:{port}"
    body = '{"words": ["last"], "text": "x"}'
    fields = f"Content-Type: application/json\r\nPrefer: wait=2\r\nContent-Length: {len(body)}\r\n"
    before = len(httpx.get(f"{url}/v1/jobs", trust_env=False).json()["jobs"])
    for version, close in (("1.1", CLOSE), ("1.0", "\r\n")):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(f"POST /v1/jobs HTTP/{version}\r\nHost: x\r\n{fields}{close}{body}".encode())
            while len(httpx.get(f"{url}/v1/jobs", trust_env=False).json()["jobs"]) == before:
                pass
            before += 1
            client.sendall(b"\r\ngarbage\r\n\r\n")
            found = client.makefile("rb").read()
        assert re.findall(rb"HTTP/1\.1 (\d+)", found) == [b"202"], found


def test_a_body_that_breaks_off_behind_an_open_request_is_refused_once(port: int) -> None:
    get = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    broken = CHUNKED.replace("/p", "/broken") + "4\r\ngood\r\nnonsense\r\n"
    assert re.findall(rb"HTTP/1\.1 (\d+)", exchange(port, get + broken)) == [b"200", b"400"]
    assert httpx.get(f"http://127.0.0.1:{port}/v1/texts/broken", trust_env=False).status_code == 404


def test_a_refused_body_that_turns_to_nonsense_has_one_answer(port: int) -> None:
    """The nonsense is sent once the refusal is there."""
    head = b"PUT /v1/texts/../p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(60)
        with client.makefile("rb") as answers:
            client.sendall(head)
            assert answers.readline().startswith(b"HTTP/1.1 400 ")
            client.sendall(b"nonsense\r\n")
            assert b"HTTP/1.1" not in answers.read()

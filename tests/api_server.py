"""A server that answers as a Kubernetes API server does: over TLS with a CA of its own, to those who have its token."""

import base64
import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

from essaim.kubernetes.cluster import Cluster
from essaim.rollout.errors import ConflictError
from tests.knative_service import apply
from tests.servers import absent

TOKEN = "a token that is replaced"


@dataclass
class Seen:
    """A request, as the server got it."""

    method: str
    path: str
    headers: dict[str, str]
    content: Any


@dataclass
class ApiServer:
    """`objects` are by path. What is in `refuse` is answered first; while `answering` is not set, nothing is."""

    account: Path
    port: int = 0
    token: str = TOKEN
    objects: dict[str, Any] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    refuse: list[tuple[int, str]] = field(default_factory=list)
    answering: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0

    context: ssl.SSLContext = field(default_factory=lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    def client_authority(self) -> None:
        """From now on a client certificate is asked for, and does instead of the token."""
        self.context.load_verify_locations(self.account / "ca.crt")
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.token = ""

    def cluster(self) -> Cluster:
        tls = ssl.create_default_context(cafile=str(self.account / "ca.crt"))
        return Cluster(f"https://127.0.0.1:{self.port}", tls, lambda: (self.account / "token").read_text())

    def kubeconfig(self, user: dict[str, Any]) -> Path:
        authority = base64.b64encode((self.account / "ca.crt").read_bytes()).decode()
        cluster = {"server": f"https://127.0.0.1:{self.port}/", "certificate-authority-data": authority}
        config = {
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}],
        }
        path = self.account / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    def answer(self, request: Seen) -> tuple[int, Any]:
        self.waiting += 1
        self.answering.wait()
        self.waiting -= 1
        self.seen.append(request)
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return 401, {"message": "Unauthorized"}
        if self.refuse:
            status, message = self.refuse.pop(0)
            return status, {"kind": "Status", "message": message}
        match request.method:
            case "POST":
                path = f"{request.path}/{request.content['metadata']['name']}"
                if path in self.objects:
                    return 409, {"message": f"{path} already exists"}
                for key, value in request.content.pop("stringData", {}).items():
                    request.content.setdefault("data", {})[key] = base64.b64encode(value.encode()).decode()
                self.objects[path] = request.content
                return 201, request.content
            case "PATCH" if request.path in self.objects:
                if request.headers["content-type"] == "application/merge-patch+json":
                    merge(self.objects[request.path], request.content)
                else:
                    try:
                        self.objects[request.path] = apply(self.objects[request.path], request.content)
                    except ConflictError as error:
                        return 422, {"message": str(error)}
                return 200, self.objects[request.path]
            case "DELETE" if request.path in self.objects:
                return 200, self.objects.pop(request.path)
            case "GET" if "?labelSelector=" in request.path:
                return 200, self.listed(*request.path.split("?labelSelector="))
            case "GET" if request.path in self.objects:
                return 200, self.objects[request.path]
        return 404, {"message": f"{request.path} not found"}

    def listed(self, path: str, selector: str) -> dict[str, Any]:
        name, _, value = unquote(selector).partition("=")
        found = [it for where, it in self.objects.items() if where.rpartition("/")[0] == path]
        items = [it for it in found if it["metadata"].get("labels", {}).get(name) == value]
        bare = [{key: part for key, part in it.items() if key not in ("kind", "apiVersion")} for it in items]
        kind, version = (items[0]["kind"], items[0]["apiVersion"]) if items else ("", "")
        return {"kind": f"{kind}List", "apiVersion": version, "items": bare}


def merge(target: dict[str, Any], patch: dict[str, Any]) -> None:
    for name, value in patch.items():
        if isinstance(value, dict):
            merge(target.setdefault(name, {}), value)
        else:
            target[name] = value


@contextmanager
def api_server(folder: Path) -> Iterator[ApiServer]:
    """`account` is a folder as a pod has it: ca.crt and token."""
    certify(folder)
    (folder / "token").write_text(TOKEN)
    served = ApiServer(folder)
    served.answering.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("content-length", 0))
            content = json.loads(self.rfile.read(length)) if length else None
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answer = served.answer(Seen(self.command, self.path, headers, content))
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that did not wait for its answer."""

    with Server(("127.0.0.1", 0), Handler) as server:
        served.context.load_cert_chain(folder / "server.crt", folder / "server.key")
        server.socket = served.context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        served.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield served
        served.answering.set()
        server.shutdown()
        thread.join()


def certify(folder: Path) -> None:
    """A CA, and what it signed for 127.0.0.1: server.crt and server.key."""
    if shutil.which("openssl") is None:
        absent("no openssl to make a certificate with")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    ca = ["-x509", *key, "-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.crt"]
    usage = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"]
    own = ["-x509", *key, "-subj", "/CN=kubernetes", "-CA", "ca.crt", "-CAkey", "ca.key"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "server.key", "-out", "server.crt"]
    for arguments in ([*ca, *usage], [*own, *names]):
        subprocess.run(["openssl", "req", *arguments], cwd=folder, check=True, capture_output=True)

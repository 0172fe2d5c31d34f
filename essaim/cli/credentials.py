"""`essaim credentials`: Secrets with random passwords for the servers of the local overlay, created once."""

import base64
import hashlib
import json
import secrets
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote, urlsplit

import typer

from essaim.cli.errors import CliError
from essaim.cli.running import run

if TYPE_CHECKING:
    from essaim.kubernetes.client import Kubernetes

Values = dict[str, str]

LABELS = {"app.kubernetes.io/part-of": "essaim", "app.kubernetes.io/managed-by": "essaim-credentials"}
QUEUES = "^jobs[.]"
EXCHANGES = "^essaim[.]jobs$"
APP = {"configure": f"{QUEUES}|{EXCHANGES}", "write": f"{QUEUES}|{EXCHANGES}|^amq[.]default$", "read": QUEUES}
NOTHING = {"configure": "^$", "write": "^$", "read": "^$"}


def credentials(
    namespace: Annotated[str, typer.Option("--namespace", metavar="NAME", help="Namespace of the Secrets.")],
) -> None:
    """Create the missing Secrets of the local overlay. Existing ones are not changed.

    Example: essaim credentials --namespace essaim
    """
    run(_make(namespace))


async def _make(namespace: str) -> None:
    from essaim.kubernetes.client import open_kubernetes
    from essaim.kubernetes.cluster import nearest_cluster

    async with open_kubernetes(nearest_cluster()) as kubernetes:
        vault = Vault(kubernetes, namespace)
        queue = await vault.have("essaim-queue", {"ESSAIM_QUEUE_URL": f"amqp://essaim:{_password()}@rabbitmq:5672/"})
        store_url = f"mongodb://essaim:{_password()}@mongodb:27017/essaim?authSource=admin"
        store = await vault.have("essaim-store", {"ESSAIM_STORE_URL": store_url})
        keda = await vault.have("essaim-keda", {"username": "essaim-keda", "password": _password()})
        await vault.have("essaim-texts", {"AWS_ACCESS_KEY_ID": "essaim", "AWS_SECRET_ACCESS_KEY": _password()})
        # The servers' Secrets come last and are made from the clients', so that both agree even after a crash in between.
        if app := _user(queue["ESSAIM_QUEUE_URL"], "essaim-queue", server="rabbitmq"):
            await vault.have("rabbitmq", {"definitions.json": definitions(app, (keda["username"], keda["password"]))})
        if user := _user(store["ESSAIM_STORE_URL"], "essaim-store", server="mongodb"):
            await vault.have("mongodb", dict(zip(("username", "password"), user, strict=True)))


class Vault:
    """The Secrets of a namespace."""

    def __init__(self, kubernetes: "Kubernetes", namespace: str) -> None:
        self._kubernetes = kubernetes
        self._namespace = namespace

    async def have(self, name: str, values: Values) -> Values:
        """The values of the Secret, created with these values if it does not exist."""
        from essaim.kubernetes.client import Resource

        secret = Resource(self._namespace, "secrets", name)
        found = await self._kubernetes.get(secret)
        if found is None:
            content = {"kind": "Secret", "apiVersion": "v1", "metadata": {"labels": LABELS}, "stringData": values}
            if await self._kubernetes.create(secret, content):
                typer.echo(f"created Secret {name}")
                return values
            found = await self._kubernetes.get(secret)  # another process was faster
        data = (found or {}).get("data") or {}
        if missing := values.keys() - data.keys():
            lacks = ", ".join(sorted(missing))
            raise CliError(f"Secret {name!r} lacks {lacks}: add it, or delete the Secret to have it created anew")
        typer.echo(f"Secret {name} exists")
        return {key: base64.b64decode(data[key]).decode() for key in values}


def definitions(app: tuple[str, str], monitoring: tuple[str, str]) -> str:
    """The definitions that RabbitMQ loads at start: `app` may use its own queues, `monitoring` may only see their lengths."""
    permissions = [
        {"user": app[0], "vhost": "/", **APP},
        {"user": monitoring[0], "vhost": "/", **NOTHING},
    ]
    users = [_rabbit_user(*app, tags=[]), _rabbit_user(*monitoring, tags=["monitoring"])]
    return json.dumps({"vhosts": [{"name": "/"}], "users": users, "permissions": permissions}, indent=2)


def _rabbit_user(name: str, password: str, tags: list[str]) -> dict[str, object]:
    salt = secrets.token_bytes(4)
    salted = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    algorithm = "rabbit_password_hashing_sha256"
    return {"name": name, "password_hash": salted, "hashing_algorithm": algorithm, "tags": tags}


def _user(url: str, secret: str, server: str) -> tuple[str, str] | None:
    """User and password in the URL. None, and a line that says so, where it has none: then its server needs no Secret."""
    parts = urlsplit(url)
    if not parts.username or not parts.password:
        typer.echo(
            f"the URL in Secret {secret} names no user and password: Secret {server} is not needed, and not made"
        )
        return None
    return unquote(parts.username), unquote(parts.password)


def _password() -> str:
    """192 bits, of characters that need no escape in a URL."""
    return secrets.token_urlsafe(24)

"""Which Service is rolled out: one in a cluster, or the local file that replaces it."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from essaim.rollout.client import Site
from essaim.rollout.record import Record
from essaim.rollout.releases import ClusterObjects, Elsewhere, Objects

Namespace = Annotated[str, typer.Option("--namespace", "-n", metavar="NAME", help="Of the Service.")]
ServiceName = Annotated[str, typer.Option("--service", metavar="NAME", help="The Knative Service of the API.")]
Ingress = Annotated[
    str,
    typer.Option(
        "--ingress",
        envvar="ESSAIM_INGRESS",
        metavar="URL",
        help="Go by this address, with the Service's name as Host: where its name cannot be resolved.",
    ),
]
Local = Annotated[
    Path | None,
    typer.Option("--local", metavar="DIR", help="Not in a cluster: the data folder of `essaim up --release …`."),
]


@dataclass(frozen=True)
class TargetOptions:
    namespace: str
    service: str
    ingress: str
    token: str
    local: Path | None = None


@dataclass(frozen=True)
class Target:
    record: Record
    objects: Objects
    site: Site


@asynccontextmanager
async def open_target(options: TargetOptions) -> AsyncIterator[Target]:
    """Raises `SettingsError` if no cluster is configured."""
    if options.local:
        from essaim.splitter.service_file import FILE, LocalService

        yield Target(Record(LocalService(options.local / FILE)), Elsewhere(), Site("", options.token))
        return
    inside = "KUBERNETES_SERVICE_HOST" in os.environ and not options.ingress
    site = Site(options.ingress, options.token, inside)
    from essaim.kubernetes.client import open_kubernetes
    from essaim.kubernetes.cluster import nearest_cluster
    from essaim.rollout.knative import KnativeService

    async with open_kubernetes(nearest_cluster()) as kubernetes:
        record = Record(KnativeService(kubernetes, options.namespace, options.service))
        yield Target(record, ClusterObjects(kubernetes, options.namespace, options.service), site)


def holder() -> str:
    """The name of this process as the holder of a rollout; unique."""
    return f"{os.environ.get('USER') or 'somebody'}@{socket.gethostname()}:{os.getpid()}"

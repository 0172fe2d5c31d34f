"""Which API server to ask, and as whom: in a pod its own, elsewhere the one that kubectl would ask."""

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from essaim.errors import SettingsError

if TYPE_CHECKING:  # start-up time
    import ssl

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Cluster:
    """Where an API server answers. `token` is asked for each request, since a pod's token is replaced every hour."""

    url: str
    tls: "ssl.SSLContext | None" = None
    token: Callable[[], str] = lambda: ""


def own_cluster(account: Path = SERVICE_ACCOUNT) -> Cluster:
    """The cluster that this process runs in, as its pod's service account. Raises `SettingsError` outside of one."""
    import ssl

    try:
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        tls = _trusting(ssl.create_default_context(cafile=str(account / "ca.crt")))
    except KeyError as error:
        raise SettingsError(f"this is no pod of a cluster: {error.args[0]} is not set") from error
    except OSError as error:
        raise SettingsError(f"this pod has no service account (automountServiceAccountToken?): {error}") from error
    return Cluster(
        f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}", tls, _read(account / "token")
    )


def nearest_cluster() -> Cluster:
    """In a pod its own cluster, elsewhere the configured one."""
    return own_cluster() if "KUBERNETES_SERVICE_HOST" in os.environ else configured_cluster()


def configured_cluster(path: Path | None = None) -> Cluster:
    """The current context of `path`, of `KUBECONFIG` (one file), or of `~/.kube/config`, by token or client certificate.

    Raises `SettingsError`, also for users whose token comes from a plug-in: `kubectl proxy` serves those.
    """
    file = path or Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    try:
        import yaml

        config = yaml.safe_load(file.read_text())
        context = _named(config, "context", config["current-context"])
        cluster = _named(config, "cluster", context["cluster"])
        user = _named(config, "user", context["user"])
        return Cluster(cluster["server"].rstrip("/"), _tls(cluster, user, file.parent), _token(user, file.parent))
    except (OSError, KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise SettingsError(f"{file} names no cluster that can be asked: {reason}") from error


def _named(config: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    found = next((entry for entry in config[f"{kind}s"] if entry["name"] == name), None)
    if found is None:
        raise ValueError(f"there is no {kind} {name!r}")
    entry: dict[str, Any] = found[kind]
    return entry


def _token(user: dict[str, Any], folder: Path) -> Callable[[], str]:
    if user.keys() & {"exec", "auth-provider", "username"}:
        raise ValueError("its user needs a plug-in or a password; name the address of `kubectl proxy` instead")
    if "tokenFile" in user:
        return _read(folder / user["tokenFile"])
    return lambda: str(user.get("token", ""))


def _read(file: Path) -> Callable[[], str]:
    return lambda: file.read_text().strip()


def _tls(cluster: dict[str, Any], user: dict[str, Any], folder: Path) -> "ssl.SSLContext | None":
    if not cluster["server"].startswith("https:"):
        return None
    import ssl
    import tempfile

    authority = _content(cluster, "certificate-authority", folder)
    tls = _trusting(ssl.create_default_context(cadata=authority.decode() if authority else None))
    if cluster.get("insecure-skip-tls-verify"):
        raise ValueError("it wants TLS without a check of the server")
    certificate, key = _content(user, "client-certificate", folder), _content(user, "client-key", folder)
    if certificate and key:
        with tempfile.TemporaryDirectory() as private:  # only its owner may look; ssl reads from files alone
            (chain := Path(private) / "chain").write_bytes(certificate + b"\n" + key)
            tls.load_cert_chain(chain)
    return tls


def _trusting(tls: "ssl.SSLContext") -> "ssl.SSLContext":
    """Since Python 3.13 a certificate authority must say what its key is for; many clusters' do not, and kubectl never asks."""
    import ssl

    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return tls


def _content(entry: dict[str, Any], name: str, folder: Path) -> bytes | None:
    if encoded := entry.get(f"{name}-data"):
        return base64.b64decode(encoded)
    return (folder / entry[name]).read_bytes() if name in entry else None

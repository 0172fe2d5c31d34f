"""Where the API of each release answers, by what the Service says of itself."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from essaim.errors import UnavailableError
from essaim.rollout.client import PATIENCE_SECONDS, Clock, Remote, open_remote
from essaim.rollout.service import JsonObject, cluster_url, tag_url


@dataclass(frozen=True)
class Site:
    """`ingress`: an address to go by, with the Service's name as Host, where names cannot be resolved. `inside` a cluster
    there are others, which always can.
    """

    ingress: str = ""
    token: str = ""
    inside: bool = False
    patience: float = PATIENCE_SECONDS
    clock: Clock = field(default_factory=Clock)

    def main(self, service: JsonObject) -> AbstractAsyncContextManager[Remote]:
        """Whichever release the split picks. Raises `UnavailableError` while there is no address."""
        return self._open(cluster_url(service) if self.inside else service["status"].get("url"), service)

    def tagged(self, service: JsonObject, tag: str) -> AbstractAsyncContextManager[Remote]:
        """The release with that tag."""
        url = tag_url(service, tag)
        return self._open(cluster_url(service, tag) if url and self.inside else url, service)

    def _open(self, url: str | None, service: JsonObject) -> AbstractAsyncContextManager[Remote]:
        if not url:
            raise UnavailableError(f"the Service {service['metadata']['name']} has no address yet")
        return open_remote(url, self.clock, ingress=self.ingress, token=self.token, patience=self.patience)

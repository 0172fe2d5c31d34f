"""Every setting, with its reason, unit and default. Built once, in a `__main__`, and passed down from there."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from essaim.errors import SettingsError
from essaim.jobs import receivers
from essaim.jobs.receivers import Receivers

MIB = 1024 * 1024
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Settings(BaseSettings):
    """Read from environment variables: the name in capitals after `ESSAIM_`."""

    model_config = SettingsConfigDict(
        env_prefix="ESSAIM_",
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
        populate_by_name=True,
    )

    release: str = Field(default="dev", pattern=r"^[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?$")
    """The version of this software: names its queue, so that the release that takes a job also runs it."""

    workload: str = Field(default="essaim_words", pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$")
    """The package of the workload that API and workers run: its modules `payload` and `workload` are imported."""

    data_dir: Path = Path(".essaim")
    """Folder of the embedded default, where the three URLs below are not given."""

    queue_url: str = ""
    """Where messages wait: `sqlite:///…`, or `amqp(s)://…` for RabbitMQ. Default: `sqlite:///<data_dir>/essaim.db`."""

    store_url: str = ""
    """Where jobs are kept: `mongodb(+srv)://…/<database>`, MongoDB 6 or later. Default: `sqlite:///<data_dir>/essaim.db`."""

    texts_url: str = ""
    """Where texts and large results are kept: `file://` or `s3://bucket/folder`. Default: `file:///<data_dir>`."""

    api_host: str = "127.0.0.1"
    """Address to listen on. Beyond loopback, `api_tokens` must be set (or `allow_anonymous`)."""

    api_port: int = Field(default=8080, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""

    api_tokens: SecretStr = SecretStr("")
    """Who may call: `name:token`, comma-separated. The name owns the jobs it submits. Empty: everybody, as `anonymous`."""

    allow_anonymous: bool = False
    """Say so explicitly to listen beyond loopback without tokens."""

    start_seconds: float = Field(default=60.0, ge=0)
    """How long API and workers wait at start for a backend that does not answer, before exit code 2. 0: not at all."""

    concurrency: int = Field(default=1, ge=1, le=1000)
    """Tasks one worker runs at once. CPU-bound work wants 1 and more workers; work that waits can take more."""

    lease_seconds: float = Field(default=15.0, gt=0)
    """How long a silent worker keeps its task. Longer rides out slow stores, shorter resumes sooner after a crash."""

    beat_seconds: float = Field(default=1.0, gt=0)
    """How often an attempt extends its lease and hears of a cancellation. A write each; well under `lease_seconds`."""

    drain_seconds: float = Field(default=2.5, gt=0)
    """How long a leaving worker waits for its workloads to reach a checkpoint before it leaves without."""

    pod_name: str = Field(default="", pattern=r"^([a-z0-9][a-z0-9.-]{0,252})?$")
    """In Kubernetes, this worker's pod, from the downward API: while it is busy, idle pods are removed before it."""

    pod_namespace: str = Field(default="", pattern=r"^([a-z0-9][a-z0-9-]{0,62})?$")
    """The namespace of that pod, from there too."""

    max_attempts: int = Field(default=5, ge=1)
    """Attempts that may raise an exception before the job has failed and its message is parked."""

    max_lost_attempts: int = Field(default=3, ge=1)
    """Attempts of a task or a merge that may be lost with their worker before the job fails: some tasks kill workers."""

    retry_seconds: float = Field(default=1.0, gt=0)
    """Delay before the second attempt; doubles with each failure, with up to a quarter of jitter."""

    max_retry_seconds: float = Field(default=60.0, gt=0)
    """The longest such delay."""

    callback_hosts: str = ""
    """Hosts that may be called when a job ends: `hooks.example.com, *.example.org`. Empty: no callbacks are taken."""

    callback_secret: SecretStr = SecretStr("")
    """Signs these calls: 24 bytes or more, as they are or as `whsec_` and base64; several, comma-separated, to change it."""

    callback_private_addresses: bool = False
    """Receivers may be inside the network, and over plain http: whoever submits then makes workers call them."""

    callback_give_up_seconds: float = Field(default=86400.0, gt=0)
    """How long an end is told again and again before its message is parked; well under `retention_seconds`."""

    max_request_bytes: int = Field(default=MIB, ge=1024)
    """Largest submission. It travels in one message, and brokers like small ones."""

    max_text_bytes: int = Field(default=16 * 1024 * MIB, ge=1)
    """Largest text."""

    max_tasks_per_job: int = Field(default=10_000, ge=1)
    """Most tasks a request may split into: each is a message and a record."""

    max_result_bytes: int = Field(default=64 * MIB, ge=1024)
    """Largest result of a task or a job."""

    inline_result_bytes: int = Field(default=64 * 1024, ge=0)
    """Results up to this size stay in the job store, larger ones go to the text store."""

    max_queue_length: int = Field(default=100_000, ge=1)
    """Messages the queue takes before it refuses more with 503: nothing grows without limit."""

    max_wait_seconds: float = Field(default=60.0, ge=0)
    """Longest `Prefer: wait` that is granted; stays under the timeouts of proxies."""

    max_open_requests: int = Field(default=1000, ge=1)
    """Requests one API process serves at once, streams included, before it answers 503. Probes do not count."""

    idle_seconds: float = Field(default=30.0, gt=0)
    """How long a client may send nothing of a request it began, or take nothing of its answer, before it is cut off."""

    stream_seconds: float = Field(default=240.0, gt=0)
    """An event stream ends itself after this, under Knative's 300-second response limit; clients resume."""

    retention_seconds: float = Field(default=7 * 86400.0, gt=0)
    """Ended jobs and their results, and parked messages, are deleted after this."""

    log_level: str = Field(default="INFO", pattern=r"^(DEBUG|INFO|WARNING|ERROR)$")
    """Least severe log line that is written."""

    log_dir: str = ""
    """Folder for log lines as JSON, a file a day, kept for `retention_seconds`; `essaim up` sets it. Empty: console only."""

    knative: str = Field(default="", validation_alias="K_SERVICE", exclude=True)
    kubernetes: str = Field(default="", validation_alias="KUBERNETES_SERVICE_HOST", exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _embedded_defaults(cls, values: dict[str, object]) -> dict[str, object]:
        folder = Path(str(values.get("data_dir") or ".essaim")).absolute()
        database = f"sqlite:///{folder}/essaim.db"
        defaults = {"queue_url": database, "store_url": database, "texts_url": folder.as_uri()}
        return {**values, **{name: url for name, url in defaults.items() if not values.get(name)}}

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.beat_seconds * 2 > self.lease_seconds:
            raise ValueError("lease_seconds must be at least twice beat_seconds, or leases run out between beats")
        if (self.knative or self.kubernetes) and "sqlite" in (self.queue_url[:6], self.store_url[:6]):
            raise ValueError("SQLite serves one machine; in a cluster set ESSAIM_QUEUE_URL and ESSAIM_STORE_URL")
        if bool(self.pod_name) != bool(self.pod_namespace):
            raise ValueError("pod_name and pod_namespace belong together: set ESSAIM_POD_NAME and ESSAIM_POD_NAMESPACE")
        open_to_all = self.api_host not in LOOPBACK and not self.api_tokens.get_secret_value()
        if open_to_all and not self.allow_anonymous:
            raise ValueError(
                f"listening on {self.api_host} without ESSAIM_API_TOKENS lets everybody in; "
                "set tokens, or ESSAIM_ALLOW_ANONYMOUS=true"
            )
        if self.receivers().hosts and not self.callback_keys():
            raise ValueError("ESSAIM_CALLBACK_HOSTS wants ESSAIM_CALLBACK_SECRET, or receivers cannot tell who calls")
        self.tokens()
        return self

    def receivers(self) -> Receivers:
        """Who may be called when a job ends. Raises ValueError for an entry that is no host."""
        return Receivers(receivers.patterns(self.callback_hosts), self.callback_private_addresses)

    def callback_keys(self) -> list[bytes]:
        """What calls are signed with: each key makes a signature. Raises ValueError for one that is none."""
        return receivers.keys(self.callback_secret.get_secret_value())

    def tokens(self) -> dict[str, str]:
        """Owner by token. Raises ValueError for an entry that is not `name:token`."""
        entries = [entry for entry in self.api_tokens.get_secret_value().split(",") if entry.strip()]
        pairs = [entry.strip().partition(":") for entry in entries]
        if not all(name and token for name, _, token in pairs):
            raise ValueError("ESSAIM_API_TOKENS wants `name:token`, comma-separated")
        return {token: name for name, _, token in pairs}


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment, overridden by what is given. Raises `SettingsError` with one line per mistake."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        lines = [
            f"{'ESSAIM_' + '_'.join(map(str, item['loc'])).upper() + ': ' if item['loc'] else ''}"
            f"{item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        ]
        raise SettingsError("\n".join(lines)) from error

"""The configuration: one frozen tree, a struct for each section of the TOML file.

Rule 1. Defaults and limits stand here and nowhere else. ``config_schema`` reads both off the
        types, so messages and documents cannot say anything different.
Rule 2. Every float is in seconds; sizes are in bytes unless the name has another unit.
Rule 3. The text under a field is its text in ``configs/reference.toml`` and in
        ``docs/reference/configuration.md``; a test compares them.
Rule 4. It is read once, in the supervisor (``config_source``), and handed to the children in
        the boot record (``boot``). Nothing below reads a file or the environment.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

DEFAULT_NAMESPACE = "default"
MEBIBYTE = 1 << 20
_PRINTABLE = r"[^\x00-\x1f\x7f\ud800-\udfff]"
"""No control characters, and no lone surrogates: they stand for bytes that are not UTF-8."""

Port = Annotated[int, Meta(ge=0, le=65_535)]
Seconds = Annotated[float, Meta(ge=0.001, le=86_400, extra={"unit": "seconds"})]
SecondsOrZero = Annotated[float, Meta(ge=0, le=86_400, extra={"unit": "seconds"})]
CommitSeconds = Annotated[float, Meta(ge=0, le=1, extra={"unit": "seconds"})]
SmallBytes = Annotated[int, Meta(ge=1, le=MEBIBYTE, extra={"unit": "bytes"})]
MessageBytes = Annotated[int, Meta(ge=1, le=32 * MEBIBYTE, extra={"unit": "bytes"})]
BodyBytes = Annotated[int, Meta(ge=1, le=1024 * MEBIBYTE, extra={"unit": "bytes"})]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
RateLimit = Literal["auto"] | Annotated[int, Meta(ge=0, le=1_000_000)]
Text = Annotated[str, Meta(pattern=rf"^{_PRINTABLE}*\Z", description="a string of one line")]
FilePath = Annotated[
    str, Meta(pattern=rf"^{_PRINTABLE}*\Z", description='"" or a path', extra={"path": True})
]
DirectoryPath = Annotated[
    str, Meta(pattern=rf"^{_PRINTABLE}+\Z", description="a path", extra={"path": True})
]
Host = Annotated[
    str,
    Meta(
        pattern=r"^[0-9A-Za-z_.:%-]{1,253}\Z",
        description="a host name or an IP address without brackets and port",
    ),
]
RegistryName = Annotated[
    str,
    Meta(
        pattern=r"^([^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*)?\Z",
        description='"module:attribute"',
    ),
]
HttpUrl = Annotated[
    str,
    Meta(
        pattern=r"^(https?://(?!/)[!\"$->@-~]+)?\Z",
        description='"" or an http:// or https:// URL without query and fragment',
    ),
]
Origin = Annotated[
    str,
    Meta(
        pattern=r"^(\*|null|[a-z][a-z0-9+.-]*://[!-.0-~]+)\Z",
        description='"*" or an origin such as "https://app.example.com"',
    ),
]
NamespaceName = Annotated[
    str,
    Meta(
        pattern=r"^[0-9A-Za-z][0-9A-Za-z_.-]{0,63}\Z",
        description="a name of 1 to 64 letters, digits, dots, hyphens and underscores",
    ),
]
"""What a namespace may be called, here and in ``POST /namespaces``."""
Token = Annotated[
    str,
    Meta(
        pattern=r"^[!-~]*\Z",
        description="a string of visible ASCII characters without spaces",
        extra={"secret": True},
    ),
]

Durability = Literal["commit", "interval"]
Synchronous = Literal["normal", "full", "extra"]
SlowClient = Literal["close", "drop_events"]
LogLevel = Literal["trace", "debug", "info", "warning", "error", "critical"]
LogFormat = Literal["auto", "text", "json"]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of the file; refuses keys it does not know."""


class Application(Section, frozen=True):
    """What is served."""

    registry: RegistryName = ""
    """The registry to serve, as "module:attribute"; required."""
    path: DirectoryPath = "."
    """Directory put on the import path."""
    version: Text = "1"
    """Version of the application, shown in /metadata and by the inspector."""


class Server(Section, frozen=True):
    """Where clients reach the service."""

    host: Host = "127.0.0.1"
    """Address to listen on; one that is not loopback needs auth.client_token."""
    port: Port = 6420
    """Port to listen on; 0 takes any free one."""
    unix_socket: FilePath = ""
    """Unix socket to listen on as well; empty: none."""
    gateways: Annotated[int, Meta(ge=1, le=64)] = 1
    """Gateway processes that share the port."""
    tls_certificate: FilePath = ""
    """PEM file with the certificate chain; with tls_key it turns HTTPS on."""
    tls_key: FilePath = ""
    """PEM file with the private key of tls_certificate."""
    backlog: Annotated[int, Meta(ge=1, le=65_535)] = 1024
    """Connections that may wait to be accepted."""
    keep_alive: SecondsOrZero = 75.0
    """How long an idle HTTP connection stays open; 0 closes it after each answer."""
    header_timeout: Seconds = 30.0
    """Time a client may take to send a request."""
    ready_timeout: Seconds = 30.0
    """How long a request waits for its worker before guard.actor_ready_timeout."""
    open_timeout: Seconds = 15.0
    """Time opening a connection may take, hooks of the actor included."""
    wake_timeout: Seconds = 90.0
    """How long an open connection waits for its sleeping or restarting actor."""
    ping_interval: SecondsOrZero = 30.0
    """How often a silent WebSocket is pinged; 0 turns pings off."""
    ping_timeout: Seconds = 30.0
    """Time a pinged client may stay silent before its connection is dropped."""
    public_endpoint: HttpUrl = ""
    """URL told to clients in /metadata; empty: they keep the one they used."""


class Namespaces(Section, frozen=True):
    """Which namespaces exist. Actors of different namespaces never meet."""

    names: Annotated[tuple[NamespaceName, ...], Meta(min_length=1)] = (DEFAULT_NAMESPACE,)
    """Namespaces that exist from the start."""
    create_on_use: bool = False
    """Create a namespace when it is first named; otherwise POST /namespaces does."""


class Workers(Section, frozen=True):
    """The processes that run the actors."""

    count: Literal["auto"] | Annotated[int, Meta(ge=1, le=256)] = "auto"
    """Worker processes; "auto" is one for each CPU core."""
    heartbeat_interval: Annotated[float, Meta(ge=0.05, le=60, extra={"unit": "seconds"})] = 0.5
    """How often a worker's event loop shows that it turns."""
    stall_warning: Seconds = 5.0
    """A worker without a heartbeat for this long is reported with its stack."""
    stall_timeout: Seconds = 60.0
    """A worker without a heartbeat for this long is replaced."""
    grace_period: Seconds = 30.0
    """Time the service may take to drain at SIGTERM."""
    restart_backoff: Seconds = 0.1
    """Pause before a dead child is restarted; doubles while it keeps dying."""
    restart_backoff_max: Seconds = 10.0
    """Longest pause between two restarts."""
    start_timeout: Seconds = 60.0
    """Time a child may take until it is ready."""
    roll_watch: SecondsOrZero = 1.0
    """How long a replaced worker is watched before the next is replaced; 0 turns watching off."""
    memory_limit_mib: Annotated[int, Meta(ge=0, le=1 << 24)] = 0
    """Resident memory of one worker, in MiB, above which idle actors sleep early; 0 is no limit."""


class Storage(Section, frozen=True):
    """Where and how durably data is kept."""

    directory: DirectoryPath = "data"
    """Data directory; created if missing, owned by one service at a time."""
    shards: Literal["auto"] | Annotated[int, Meta(ge=1, le=4096)] = "auto"
    """Number of shards, the bound of parallelism, fixed when the directory is created; "auto" is
    one for each CPU core and at least two, or what the directory has."""
    synchronous: Synchronous = "full"
    """SQLite's synchronous; "normal" may lose the last commits when the machine loses power."""
    commit_interval: CommitSeconds = 0.001
    """Longest time a change waits for others of its shard to share a sync; it waits only while
    enough others keep coming, never when it comes alone. 0 turns waiting off."""
    checkpoint_pages: Count = 1000
    """Pages in a shard's write-ahead log at which it is copied into the shard file."""
    cache_size_kib: Annotated[int, Meta(ge=64, le=1 << 24)] = 2000
    """Page cache of one shard, in KiB."""
    lock_timeout: SecondsOrZero = 30.0
    """How long to wait for a shard that another process still holds."""
    max_open_databases: Annotated[int, Meta(ge=1, le=100_000)] = 256
    """Databases of actors that one worker keeps open at a time."""
    database_threads: Annotated[int, Meta(ge=1, le=64)] = 4
    """Threads in which one worker runs the SQL of its actors."""


class Actors(Section, frozen=True):
    """Defaults for Options. Options of a class win over setup(), setup() over this section."""

    durability: Durability = "commit"
    """"commit": nothing leaves before its change is on disk; "interval": nothing waits."""
    action_timeout: Seconds = 60.0
    """Time an action or a raw HTTP request may take."""
    create_vars_timeout: Seconds = 5.0
    """Time create_vars may take."""
    create_conn_state_timeout: Seconds = 5.0
    """Time create_conn_state may take."""
    on_before_connect_timeout: Seconds = 5.0
    """Time on_before_connect may take."""
    on_connect_timeout: Seconds = 5.0
    """Time on_connect may take."""
    on_migrate_timeout: Seconds = 30.0
    """Time on_migrate and the pending migrations may take together."""
    sleep_timeout: Seconds = 30.0
    """An actor idle for this long is put to sleep."""
    sleep_grace_period: Seconds = 15.0
    """Time an actor may take to finish its work and its on_sleep."""
    no_sleep: bool = False
    """Never put idle actors to sleep."""
    state_save_interval: Seconds = 1.0
    """Longest time changes stay unsaved with durability "interval", or unseen in long work."""
    max_queue_size: Count = 1000
    """Messages that may wait in the queues of one actor."""
    max_queue_message_size: MessageBytes = 65_536
    """Size of one queue message."""
    max_schedules: Annotated[int, Meta(ge=0, le=1_000_000)] = 1000
    """Schedules one actor may have pending."""


class Limits(Section, frozen=True):
    """What a client may send and what may wait for it. Beyond it a call is refused, never cut."""

    max_incoming_message_size: MessageBytes = 65_536
    """Size of a message of a connection or of the body of an action or queue call."""
    max_outgoing_message_size: MessageBytes = MEBIBYTE
    """Size of a message or reply sent to a client."""
    max_request_body_size: BodyBytes = 20 * MEBIBYTE
    """Size of the body of a raw HTTP request."""
    max_websocket_message_size: MessageBytes = 32 * MEBIBYTE
    """Size of a message of a raw WebSocket."""
    max_input_size: MessageBytes = 4 * MEBIBYTE
    """Size of the input an actor is created with."""
    max_key_size: SmallBytes = 1024
    """Size of a whole actor key, serialised."""
    max_key_part_size: SmallBytes = 128
    """Size of one part of an actor key."""
    max_actor_name_length: Annotated[int, Meta(ge=1, le=1024)] = 64
    """Length of an actor name, in characters."""
    max_params_size: SmallBytes = 16_384
    """Size of the connection parameters."""
    max_header_size: SmallBytes = 65_536
    """Size of the longest header line of a request."""
    max_pending_per_actor: Count = 10_000
    """Requests that may wait for one actor to start."""
    max_unanswered_messages: Count = 256
    """Messages of one connection under way in its actor; then the gateway stops reading from it."""
    max_unanswered_size: BodyBytes = 4 * MEBIBYTE
    """Bytes of these messages; a single message may exceed it."""
    max_connection_backlog: BodyBytes = 4 * MEBIBYTE
    """Bytes that may wait for a client that reads too slowly."""
    slow_client: SlowClient = "close"
    """What happens beyond max_connection_backlog: "close" closes the connection, "drop_events"
    leaves events out."""
    requests_per_minute: RateLimit = "auto"
    """Requests and connections one client address may make to one actor in a minute; 0 is no
    limit, "auto" is 1200, but no limit on a loopback host."""
    max_in_flight_per_client: RateLimit = "auto"
    """Requests and connections of one client address under way in one actor; 0 is no limit, "auto"
    is 32, but no limit on a loopback host."""


class Cors(Section, frozen=True):
    """Which web pages may call the service."""

    allow_origins: tuple[Origin, ...] = ("*",)
    """Origins whose pages may call; "*" allows and echoes any."""
    max_age: Annotated[int, Meta(ge=0, le=604_800, extra={"unit": "seconds"})] = 86_400
    """How long a browser may remember the answer to a preflight."""


class Auth(Section, frozen=True):
    """Who may do what. Give tokens by environment rather than by file."""

    client_token: Token = ""
    """Token of clients; empty: open, allowed on a loopback host or with insecure."""
    admin_token: Token = ""
    """Token of the control API; empty: open on a loopback host or with insecure, else closed."""
    inspector_token: Token = ""
    """Token of the inspector; empty: open on a loopback host or with insecure, else closed."""
    insecure: bool = False
    """Allow a host that is not loopback without tokens."""

    def __repr__(self) -> str:
        given = [name for name in self.__struct_fields__ if getattr(self, name)]
        return f"Auth(given={given})"  # a configuration that is logged must not tell its tokens


class Log(Section, frozen=True):
    """What is written to standard output."""

    level: LogLevel = "info"
    """Least level that is written."""
    format: LogFormat = "auto"
    """"auto" is text on a terminal and JSON lines elsewhere."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole configuration. From ``load_config`` its paths are absolute."""

    application: Application = Application()
    server: Server = Server()
    namespaces: Namespaces = Namespaces()
    workers: Workers = Workers()
    storage: Storage = Storage()
    actors: Actors = Actors()
    limits: Limits = Limits()
    cors: Cors = Cors()
    auth: Auth = Auth()
    log: Log = Log()

"""``stator workflow``: look at an actor's workflow and control it from a terminal.

Where the service is: ``--url``, else the configuration (``--config``, ``stator.toml`` if there is
one), else what every client assumes (``RIVET_ENDPOINT``, ``http://localhost:6420``).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

from stator.runtime.config import Config
from stator.runtime.config_source import DEFAULT_CONFIG, ConfigError, load_config
from stator.runtime.errors import ActorError
from stator.runtime.exit_codes import ExitCode
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.workflow_handle import WorkflowHandle, WorkflowHistory

from .endpoint import Endpoint, read_endpoint
from .exchange import Exchange
from .handle import Handles
from .http_transport import HttpTransport
from .service_lookup import TIMEOUT_S, bearer
from .workflow_lines import (
    history_json,
    history_lines,
    output_json,
    output_lines,
    printable,
    status_json,
    status_lines,
)

_VERBS = {
    "status": "Show how far the run is.",
    "history": "Show everything the workflow did.",
    "output": "Show what the run returned.",
    "cancel": "End the run; its undo handlers run first.",
    "retry": "Go on with a run that failed or was cancelled, from where it did.",
    "fork": "Begin another run with the history before an entry.",
    "resolve": "Give a promise its value.",
}


class Target(NamedTuple):
    """Where the service is."""

    endpoint: Endpoint
    unix_socket: str | None = None
    """Wins over the host of ``endpoint``."""


class Nobody(Exception):
    """No service answers."""


def run_workflow_command(arguments: Sequence[str]) -> int:
    """Run ``stator workflow`` with what follows it and return an exit code.

    ``CONFIG`` for a command line or configuration that makes no sense, ``NOT_RUNNING`` if no
    service answers, ``FAILURE`` for an error of the service; it is on stderr.
    """
    options = _parse(arguments)
    try:
        target = _target_of(options)
    except (ConfigError, ValueError) as error:
        return _complain(error, ExitCode.CONFIG)
    try:
        _say(asyncio.run(_carry_out(options, target)))
    except Nobody as error:
        return _complain(error, ExitCode.NOT_RUNNING)
    except (ActorError, OSError) as error:
        return _complain(error, ExitCode.FAILURE)
    return ExitCode.OK


def _say(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def _complain(error: Exception, code: ExitCode) -> ExitCode:
    print(f"stator: {printable(' '.join(str(error).split()))}", file=sys.stderr)
    return code


# ---------------------------------------------------------------- the command line


def _parse(arguments: Sequence[str]) -> Namespace:
    top = ArgumentParser(
        prog="stator workflow",
        description="Look at the workflow of an actor and control it.",
        formatter_class=RawDescriptionHelpFormatter,
        epilog="\n".join(("verbs:", *(f"  {verb:<9} {about}" for verb, about in _VERBS.items()))),
    )
    top.add_argument("verb", choices=_VERBS, metavar="VERB", help="what to do; see below")
    verb: str = top.parse_args(arguments[:1]).verb
    options = _parser_of(verb)
    # Options may stand between the parts of a key.
    parsed = options.parse_intermixed_args(arguments[1:])
    if (parsed.name is None) == (parsed.id is None):
        options.error("name the actor, by NAME and KEY or by --id")
    parsed.verb = verb
    return parsed


def _parser_of(verb: str) -> ArgumentParser:
    options = ArgumentParser(prog=f"stator workflow {verb}", description=_VERBS[verb])
    if verb == "resolve":
        options.add_argument("promise", metavar="PROMISE", help="the key of its entry")
        options.add_argument("value", metavar="VALUE", type=_json_value, help="as JSON")
    if verb == "fork":
        options.add_argument(
            "--from",
            dest="from_key",
            metavar="ENTRY",
            help="the entry that is done again first; without it everything is",
        )
    if verb == "history":
        options.add_argument(
            "--save", metavar="FILE", help="keep it in a file, for stator.testing.replay"
        )
    options.add_argument("name", nargs="?", metavar="NAME", help="the actor's name")
    options.add_argument("key", nargs="*", metavar="KEY", help="the parts of its key")
    options.add_argument("--id", metavar="ACTOR_ID", help="instead of NAME and KEY")
    options.add_argument("--json", action="store_true", help="print JSON")
    source = options.add_mutually_exclusive_group()
    source.add_argument(
        "--config",
        metavar="CONFIG.toml",
        help=f"says where the service is; by default {DEFAULT_CONFIG} if there is one",
    )
    source.add_argument("--url", help="where the service is, instead of a configuration")
    options.add_argument("--token", help="by default that of the configuration, or RIVET_TOKEN")
    options.add_argument("--namespace", metavar="N", help="of the actor")
    return options


def _json_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no JSON: {error}") from error


# ---------------------------------------------------------------- the service


def _target_of(options: Namespace) -> Target:
    """Return where the service is. Raises ``ConfigError`` and ``ValueError``."""
    given: str | None = options.config
    if given is None and options.url is None and os.path.exists(DEFAULT_CONFIG):
        given = DEFAULT_CONFIG
    if given is None:
        return Target(_endpoint_of(options, options.url, options.token, os.environ))
    config = load_config(Path(given), environ=os.environ, overrides=())
    auth = config.auth
    token = options.token or auth.admin_token or auth.inspector_token or auth.client_token
    endpoint = _endpoint_of(options, _url_of(config), token or None, {})
    return Target(endpoint, config.server.unix_socket or None)


def _endpoint_of(options: Namespace, url: str | None, token: str | None, environ: Any) -> Endpoint:
    return read_endpoint(url, namespace=options.namespace, token=token, environ=environ)


def _url_of(config: Config) -> str:
    """Return the URL of a service that runs on this machine."""
    server = config.server
    if server.unix_socket:
        return "http://localhost"
    if not server.port:
        raise ConfigError("", "server.port", "0 is any free port: say which one it is with --url")
    scheme = "https" if server.tls_certificate else "http"
    return f"{scheme}://{_reachable(server.host)}:{server.port}"


def _reachable(host: str) -> str:
    """Return how a client on this machine writes an address that a service listens on."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return f"[{host}]" if address.version == 6 else host


async def _carry_out(options: Namespace, target: Target) -> str:
    """Return what is to be printed. Raises :class:`Nobody` and ``ActorError``."""
    endpoint = target.endpoint
    exchange = Exchange({}, unix_socket=target.unix_socket)
    transport = HttpTransport(endpoint, Encoding.CBOR, {}, exchange=exchange)
    try:
        await _knock(exchange, endpoint)
        handles = Handles(transport)
        if options.id is not None:
            handle = handles.get_for_id("actor", options.id)
        else:
            handle = handles.get(options.name, options.key)
        return await _ask(handle.workflow, options)
    finally:
        await transport.close()


async def _knock(exchange: Exchange, endpoint: Endpoint) -> None:
    """Raise :class:`Nobody` unless somebody answers.

    A client would go on trying for seconds, as its service may be about to start.
    """
    try:
        url = f"{endpoint.url}/metadata"
        await exchange.send("GET", url, bearer(endpoint.token), timeout_s=TIMEOUT_S)
    except ActorError as error:
        raise Nobody(f"no service answers at {endpoint.url}: {error.message}") from error


async def _ask(workflow: WorkflowHandle, options: Namespace) -> str:
    verb: str = options.verb
    if verb == "history":
        history = await workflow.history()
        if options.save is not None:
            _keep(history, Path(options.save))
        return history_json(history) if options.json else _joined(history_lines(history))
    if verb == "output":
        value = await workflow.output()
        return output_json(value) if options.json else _joined(output_lines(value))
    if verb == "fork":
        status = await workflow.fork(options.from_key)
    elif verb == "resolve":
        status = await workflow.resolve(options.promise, options.value)
    else:
        status = await {
            "status": workflow.status,
            "cancel": workflow.cancel,
            "retry": workflow.retry,
        }[verb]()
    return status_json(status) if options.json else _joined(status_lines(status))


def _keep(history: WorkflowHistory, path: Path) -> None:
    path.write_bytes(history.to_bytes())


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(lines)

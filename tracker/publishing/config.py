"""Where and what to publish: the settings that ``tracker run`` and ``tracker replay`` share."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tracker.errors import ConfigError

DEFAULT_BIND: Final = "tcp://127.0.0.1:5556"
DEFAULT_CONTROL: Final = "tcp://127.0.0.1:5557"
DEFAULT_LATEST: Final = "tcp://127.0.0.1:5558"

_TCP = re.compile(r"^tcp://(?P<host>\[[^\]]+\]|[^:\[\]/]+):(?P<port>\d{1,5}|\*)$")
_SHORT = re.compile(r"^(?:(?P<host>\[[^\]]+\]|[^:\[\]/]*):)?(?P<port>\d{1,5}|\*)$")


def parse_endpoint(text: str, option: str) -> str:
    """A ZeroMQ endpoint from what a person writes: ``tcp://HOST:PORT``, ``HOST:PORT``, ``PORT`` (loopback) or ``ipc://PATH``.

    Raises:
        ConfigError: the text is none of these, or the port is above 65535.
    """
    endpoint = text.strip()
    short = _SHORT.match(endpoint)
    if short:
        endpoint = f"tcp://{short['host'] or '127.0.0.1'}:{short['port']}"
    tcp = _TCP.match(endpoint)
    if tcp and (tcp["port"] == "*" or int(tcp["port"]) <= 65535):
        return endpoint
    if endpoint.startswith("ipc://") and len(endpoint) > len("ipc://"):
        return endpoint
    raise ConfigError(f"{option} takes tcp://HOST:PORT, HOST:PORT, PORT or ipc://PATH, not {text!r}")


def is_local(endpoint: str) -> bool:
    """Whether only processes on this machine can reach a socket bound to the endpoint."""
    if endpoint.startswith(("ipc://", "inproc://")):
        return True
    tcp = _TCP.match(endpoint)
    host = tcp["host"].strip("[]").lower() if tcp else ""
    return host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


@dataclass(frozen=True, slots=True)
class PublishConfig:
    """Endpoints and options of the published stream. Port ``0`` or ``*`` picks a free one."""

    bind: str = DEFAULT_BIND
    """Two-frame PUB endpoint."""
    latest: str | None = DEFAULT_LATEST
    """Single-frame endpoint for CONFLATE subscribers, or None to leave it out."""
    control: str | None = DEFAULT_CONTROL
    """REP endpoint for control requests, or None to leave it out."""
    with_raw: bool = False
    """Also publish the parameters before smoothing."""
    with_landmarks: bool = False
    """Also publish image landmarks and their sigma."""
    insecure_lan: bool = False
    """Allow endpoints beyond loopback without encryption."""
    curve_keys: Path | None = None
    """Folder with the server's CURVE key pair and the keys of allowed clients; None means no encryption."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "bind", parse_endpoint(self.bind, "--bind"))
        for name, option in (("latest", "--bind-latest"), ("control", "--bind-control")):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, parse_endpoint(value, option))
        if not self.insecure_lan and self.curve_keys is None:
            for endpoint in (self.bind, self.latest, self.control):
                if endpoint is not None and not is_local(endpoint):
                    raise ConfigError(
                        f"{endpoint} is reachable from other machines: add --curve-keys DIR to encrypt and admit known "
                        "clients only, or --insecure-lan to publish faces in the clear"
                    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the publishing options to a verb's parser, as a group."""
    group = parser.add_argument_group("publishing", "the ZeroMQ stream; docs/wire.md describes it")
    group.add_argument(
        "--bind",
        default=DEFAULT_BIND,
        metavar="ENDPOINT",
        help="where subscribers connect: tcp://HOST:PORT, HOST:PORT or PORT; port 0 picks a free one (default: %(default)s)",
    )
    group.add_argument(
        "--bind-latest",
        default=DEFAULT_LATEST,
        metavar="ENDPOINT",
        help="second endpoint for subscribers that only want the newest frame; 'none' leaves it out (default: %(default)s)",
    )
    group.add_argument(
        "--bind-control",
        default=DEFAULT_CONTROL,
        metavar="ENDPOINT",
        help="where 'tracker control' connects; 'none' leaves it out (default: %(default)s)",
    )
    group.add_argument("--with-raw", action="store_true", help="also publish parameters as they were before smoothing")
    group.add_argument("--with-landmarks", action="store_true", help="also publish image landmarks and their sigma")
    group.add_argument(
        "--insecure-lan",
        action="store_true",
        help="allow endpoints that other machines can reach, unencrypted: anybody there can read the faces",
    )
    group.add_argument(
        "--curve-keys",
        type=Path,
        metavar="DIR",
        help="encrypt with the key pair in DIR (made on first use) and admit only clients whose key lies in DIR/clients",
    )


def from_args(args: argparse.Namespace) -> PublishConfig:
    """The settings behind parsed ``add_arguments`` options. Raises ConfigError on a bad endpoint."""

    def optional(endpoint: str) -> str | None:
        return None if endpoint.strip().lower() == "none" else endpoint

    return PublishConfig(
        bind=args.bind,
        latest=optional(args.bind_latest),
        control=optional(args.bind_control),
        with_raw=args.with_raw,
        with_landmarks=args.with_landmarks,
        insecure_lan=args.insecure_lan,
        curve_keys=args.curve_keys,
    )

"""``NAME[=HOST[:PORT]]`` as users write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from tracker.bridges.registry import BRIDGES, BridgeEntry
from tracker.errors import ConfigError


@dataclass(frozen=True, slots=True)
class BridgeSpec:
    """Which protocol goes where: ``livelink``, ``vmc=192.168.1.5``, ``livelink=10.0.0.2:11112?subject=Alice``."""

    entry: BridgeEntry
    host: str
    port: int
    options: Mapping[str, str] = field(default_factory=dict)
    """What follows ``?``, as ``key=value`` joined by ``&``; the entry names what it takes."""

    @staticmethod
    def parse(text: str) -> BridgeSpec:
        """Read what a user wrote.

        Raises:
            ConfigError: the protocol or an option is unknown, or the port is none.
        """
        address, _, query = text.partition("?")
        name, equals, where = address.partition("=")
        if name not in BRIDGES:
            raise ConfigError(f"--to {text}: there is no bridge '{name}' (there are: {', '.join(BRIDGES)})")
        entry = BRIDGES[name]
        if equals and not where:
            raise ConfigError(f"--to {text}: expected {name}=HOST or {name}=HOST:PORT after the '='")
        if where and not entry.port:
            raise ConfigError(f"--to {text}: {name} finds its receivers by itself; write --to {name}")
        host, port = _host_and_port(where, entry, text)
        return BridgeSpec(entry, host, port, _options(query, entry, text))


def _host_and_port(where: str, entry: BridgeEntry, text: str) -> tuple[str, int]:
    if not where:
        return entry.host, entry.port
    if where.startswith("["):  # an IPv6 address, as in [::1]:11111
        host, closed, rest = where[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ConfigError(f"--to {text}: expected an IPv6 address as [ADDRESS] or [ADDRESS]:PORT")
        port = rest[1:]
    elif where.count(":") > 1:
        raise ConfigError(f"--to {text}: write an IPv6 address in brackets, {entry.name}=[{where}]")
    else:
        host, _, port = where.partition(":")
    if not port and where.endswith(":"):
        raise ConfigError(f"--to {text}: there is no port after the ':'")
    if port and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ConfigError(f"--to {text}: the port must be 1..65535, got '{port}'")
    return host or entry.host, int(port) if port else entry.port


def _options(query: str, entry: BridgeEntry, text: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    if query and not options:
        raise ConfigError(f"--to {text}: expected options as ?key=value&key=value")
    for key in options:
        if key not in entry.options:
            known = ", ".join(entry.options) or "none"
            raise ConfigError(f"--to {text}: '{entry.name}' has no option '{key}' (it has: {known})")
    return options

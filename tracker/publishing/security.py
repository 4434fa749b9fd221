"""CURVE encryption for sockets beyond loopback: key files, the server's allow-list, and the client's side.

A server's key folder holds ``server.key_secret`` (0600), ``server.key`` (public, to hand to clients) and ``clients/*.key``,
the public keys of everybody who may connect. A client's folder holds ``client.key_secret`` (0600), ``client.key`` (public, to
hand to the server) and a copy of the server's ``server.key``. One folder may serve as both. Files are in ZPL, the format
of ZeroMQ's own certificates (RFC 4 / CZMQ zcert), and the allow-list is asked over ZAP (RFC 27).
"""

from __future__ import annotations

import logging
import os
import re
import stat
import threading
from pathlib import Path
from typing import Final

import zmq
from zmq.utils import z85

from tracker.errors import PublishError

logger = logging.getLogger(__name__)

_ZAP_ENDPOINT: Final = "inproc://zeromq.zap.01"
_ENDING_S: Final = 5.0
"""More than any socket lingers."""
_KEY_LINE: Final = re.compile(r'^\s*(public-key|secret-key)\s*=\s*"([^"]{40})"\s*$', re.MULTILINE)


class ServerSecurity:
    """Applies CURVE to the sockets that a process binds, and answers libzmq's question who may connect.

    Without ``keys_dir`` sockets stay plain (``config.PublishConfig`` makes sure they are on loopback or asked to be open).
    Client keys are read anew for every connection: adding a file admits a client, removing it shuts out its next connection.

    Raises:
        PublishError: libzmq has no CURVE, or the key folder cannot be read, written or trusted.
    """

    def __init__(self, keys_dir: Path | None = None) -> None:
        if keys_dir is not None:
            _require_curve()
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._keys_dir = keys_dir
        self._thread: threading.Thread | None = None
        if keys_dir is None:
            return
        self._public, self._secret = ensure_key_pair(keys_dir, "server")
        _make_folder(keys_dir / "clients")
        zap = self.context.socket(zmq.REP)
        zap.linger = 0
        zap.bind(_ZAP_ENDPOINT)
        self._thread = threading.Thread(target=self._serve_zap, args=(zap,), name="zap", daemon=True)
        self._thread.start()

    def apply(self, socket: zmq.Socket[bytes]) -> None:
        """Make a socket that is about to be bound a CURVE server, if there are keys."""
        if self._keys_dir is not None:
            socket.curve_server = True
            socket.curve_publickey = self._public
            socket.curve_secretkey = self._secret
            socket.zap_domain = b"tracker"

    def close(self) -> None:
        """End the context; all its sockets must be closed."""
        # libzmq may wait for ever for a peer that went in mid-message, whatever the linger; nobody else should.
        ending = threading.Thread(target=self.context.term, name="end of ZeroMQ", daemon=True)
        ending.start()
        ending.join(_ENDING_S)
        if ending.is_alive():
            logger.warning("a connection does not end; it is left to the end of this process")
        elif self._thread is not None:
            self._thread.join()

    def _serve_zap(self, zap: zmq.Socket[bytes]) -> None:
        while True:
            try:
                version, request_id, _domain, address, _identity, mechanism, *credentials = zap.recv_multipart()
                allowed = mechanism == b"CURVE" and len(credentials) == 1 and self._is_allowed(credentials[0])
                if not allowed:
                    logger.warning(
                        "refused a client at %s: its key is not in %s/clients", address.decode(), self._keys_dir
                    )
                status, text = (b"200", b"OK") if allowed else (b"400", b"unknown client key")
                zap.send_multipart([version, request_id, status, text, b"", b""])
            except zmq.ContextTerminated:
                zap.close()
                return

    def _is_allowed(self, raw_key: bytes) -> bool:
        return self._keys_dir is not None and bytes(z85.encode(raw_key)) in read_client_keys(self._keys_dir)


def apply_client_keys(socket: zmq.Socket[bytes], keys_dir: Path) -> None:
    """Make a socket that is about to connect a CURVE client. The client's key pair is made on first use.

    Raises:
        PublishError: libzmq has no CURVE, or the server's public key is missing, or a file cannot be trusted.
    """
    _require_curve()
    public, secret = ensure_key_pair(keys_dir, "client")
    server_file = keys_dir / "server.key"
    if not server_file.is_file():
        raise PublishError(
            f"{server_file} is missing: copy server.key from the tracker's key folder to {keys_dir}, "
            f"and {keys_dir / 'client.key'} into the tracker's clients/ folder"
        )
    socket.curve_serverkey = _read_key(server_file, "public-key")
    socket.curve_publickey = public
    socket.curve_secretkey = secret


def ensure_key_pair(keys_dir: Path, name: str) -> tuple[bytes, bytes]:
    """The (public, secret) Z85 keys in ``NAME.key`` and ``NAME.key_secret``, made (0600, folder 0700) when absent.

    Raises:
        PublishError: the files cannot be written or read, or other users can read the secret.
    """
    secret_file = keys_dir / f"{name}.key_secret"
    if not secret_file.exists():
        _make_folder(keys_dir)
        public, secret = zmq.curve_keypair()
        _write_key_file(keys_dir / f"{name}.key", 0o644, public)
        _write_key_file(secret_file, 0o600, public, secret)
        return public, secret
    if os.name == "posix" and stat.S_IMODE(secret_file.stat().st_mode) & 0o077:
        raise PublishError(f"{secret_file} can be read by other users, so it is no secret: chmod 600 {secret_file}")
    return _read_key(secret_file, "public-key"), _read_key(secret_file, "secret-key")


def read_client_keys(keys_dir: Path) -> set[bytes]:
    """The Z85 public keys in ``clients/*.key``; unreadable files are logged and admit nobody."""
    keys = set()
    for file in sorted((keys_dir / "clients").glob("*.key")):
        try:
            keys.add(_read_key(file, "public-key"))
        except PublishError as error:
            logger.warning("%s", error)
    return keys


def _require_curve() -> None:
    if not zmq.has("curve"):
        raise PublishError(
            f"this libzmq {zmq.zmq_version()} was built without CURVE: reinstall pyzmq from its wheel "
            "(pip install --force-reinstall --only-binary :all: pyzmq), or stay on loopback without --curve-keys"
        )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise PublishError(
            f"cannot make the key folder {folder}: {error.strerror}; choose another with --curve-keys"
        ) from error


def _write_key_file(file: Path, mode: int, public: bytes, secret: bytes | None = None) -> None:
    lines = ["curve", f'    public-key = "{public.decode()}"']
    if secret is not None:
        lines.append(f'    secret-key = "{secret.decode()}"')
    try:
        # The mode is given on creation: a chmod afterwards would leave a moment in which others can open the file.
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="ascii") as stream:
            stream.write("\n".join(lines) + "\n")
    except OSError as error:
        raise PublishError(f"cannot write the key file {file}: {error.strerror}") from error


def _read_key(file: Path, kind: str) -> bytes:
    try:
        keys = dict(_KEY_LINE.findall(file.read_text(encoding="ascii")))
    except (OSError, UnicodeDecodeError) as error:
        raise PublishError(
            f"cannot read the key file {file}: {getattr(error, 'strerror', None) or 'not a text file'}"
        ) from error
    if kind not in keys:
        raise PublishError(f"{file} holds no {kind}: expected a ZeroMQ certificate with a 40-character {kind}")
    key: str = keys[kind]
    return key.encode("ascii")

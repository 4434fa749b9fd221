"""Small web servers on 127.0.0.1 that send video well, haltingly or not at all."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import BinaryIO

Answer = Callable[[BaseHTTPRequestHandler, int], None]
"""Answers a GET; the number counts requests from 0."""


@contextmanager
def serve(answer: Answer) -> Iterator[str]:
    """Run a server; gives its address."""
    counter = iter(range(1_000_000))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                answer(self, next(counter))
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Keep test output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send_range(handler: BaseHTTPRequestHandler, content: bytes, *, most: int | None = None) -> None:
    """Send ``content`` or the part the client asks for; stop after ``most`` bytes as a broken connection would."""
    begin = 0
    asked = handler.headers.get("Range", "")
    if asked.startswith("bytes="):
        begin = int(asked.removeprefix("bytes=").split("-")[0])
    part = content[begin:]
    handler.send_response(206 if asked else 200)
    handler.send_header("Accept-Ranges", "bytes")
    handler.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
    handler.send_header("Content-Length", str(len(part)))
    handler.end_headers()
    handler.wfile.write(part[:most])
    handler.wfile.flush()


def start_mjpeg(handler: BaseHTTPRequestHandler) -> None:
    """Begin the endless multipart answer of a network camera."""
    handler.send_response(200)
    handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
    handler.end_headers()


def send_jpeg(handler: BaseHTTPRequestHandler, jpeg: bytes) -> None:
    """Send one picture of it."""
    handler.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg))
    handler.wfile.write(jpeg + b"\r\n")
    handler.wfile.flush()


@contextmanager
def serve_rtsp(transport_stream: bytes, seconds_per_chunk: float) -> Iterator[str]:
    """A camera that speaks RTSP (RFC 2326) and sends MPEG-TS in RTP (RFC 2250) over the same connection, again and again."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    stop = threading.Event()

    def talk() -> None:
        while not stop.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, client.makefile("rb") as requests, suppress(OSError):
                _converse(client, requests, transport_stream, seconds_per_chunk, stop)

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    try:
        yield f"rtsp://127.0.0.1:{port}/live"
    finally:
        stop.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def _converse(
    client: socket.socket, requests: BinaryIO, content: bytes, seconds_per_chunk: float, stop: threading.Event
) -> None:
    description = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track1\r\n"
    while line := requests.readline():
        verb = line.split()[0].decode()
        headers = dict(header.decode().strip().split(": ", 1) for header in iter(requests.readline, b"\r\n"))
        extra, body = {"Session": "1"}, ""
        if verb == "OPTIONS":
            extra["Public"] = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"
        elif verb == "DESCRIBE":
            extra["Content-Type"], body = "application/sdp", description
        elif verb == "SETUP":
            extra["Transport"] = "RTP/AVP/TCP;unicast;interleaved=0-1"
        lines = [
            "RTSP/1.0 200 OK",
            f"CSeq: {headers['CSeq']}",
            *(f"{k}: {v}" for k, v in extra.items()),
            f"Content-Length: {len(body)}",
        ]
        client.sendall(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
        if verb == "PLAY":
            break
    chunk_size = 7 * 188
    for number in count():
        offset = number * chunk_size % (len(content) // chunk_size * chunk_size)
        payload = content[offset : offset + chunk_size]
        rtp = struct.pack(">BBHII", 0x80, 33, number & 0xFFFF, number * 3600 & 0xFFFFFFFF, 7) + payload
        client.sendall(struct.pack(">cBH", b"$", 0, len(rtp)) + rtp)
        if stop.wait(seconds_per_chunk):
            return

"""Always work on the newest frame, however long the work takes. Needs: pip install pyzmq msgpack."""

import sys
import time

import msgpack
import zmq

socket = zmq.Context().socket(zmq.SUB)
socket.set(zmq.CONFLATE, 1)  # keep one message only; before connect
socket.subscribe(b"face/frame/\0")  # exactly one subscription: CONFLATE would lose a second one
socket.connect(sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5558")
prefix = len(b"face/frame/\0")
while True:
    message = msgpack.unpackb(memoryview(socket.recv())[prefix:])
    print(f"frame {message['frame']}: {len(message['faces'])} face(s)", flush=True)
    time.sleep(0.2)  # slow work; the frames meanwhile are skipped

"""Print head position and strongest expression of every face. Needs: pip install pyzmq msgpack."""

import struct
import sys

import msgpack
import zmq

socket = zmq.Context().socket(zmq.SUB)
socket.connect(sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5556")
socket.subscribe(b"face/frame/")
socket.subscribe(b"face/schema/")
names = None  # they come with the subscription and every second
while True:
    topic, payload = socket.recv_multipart()
    message = msgpack.unpackb(payload)
    if topic == b"face/schema/":
        names = message["arkit_names"]
    elif names:
        for face in message["faces"]:
            x, y, z = struct.unpack("<3f", face["head"]["position"])
            weight, name = max(zip(struct.unpack("<52f", face["arkit"]), names, strict=True))
            line = f"frame {message['frame']} face {face['id']}: {x:.3f} {y:.3f} {z:.3f} m, {name} {weight:.2f}"
            if "visibility" in face:  # with --with-landmarks: a byte each, 255 is surely in sight
                line += f", {sum(code > 127 for code in face['visibility'])} landmarks in sight"
            print(line, flush=True)

// Print head position and strongest expression of every face. Needs: npm install, then node subscriber.mjs
import { decode } from "@msgpack/msgpack";
import { Subscriber } from "zeromq";

const socket = new Subscriber();
socket.connect(process.argv[2] ?? "tcp://127.0.0.1:5556");
socket.subscribe("face/frame/", "face/schema/");
const floats = (blob) => new Float32Array(new Uint8Array(blob).buffer); // a copy, since blobs are not aligned
let names; // they come with the subscription and every second
for await (const [topic, payload] of socket) {
  const message = decode(payload, { useBigInt64: true }); // nanoseconds do not fit a double
  if (topic.toString() === "face/schema/") names = message.arkit_names;
  else if (names) {
    for (const face of message.faces) {
      const position = [...floats(face.head.position)].map((metres) => metres.toFixed(3)).join(" ");
      const arkit = floats(face.arkit);
      const top = arkit.indexOf(Math.max(...arkit));
      // With --with-landmarks: a byte each, 255 is surely in sight.
      const sight = face.visibility ? `, ${face.visibility.filter((code) => code > 127).length} landmarks in sight` : "";
      console.log(`frame ${message.frame} face ${face.id}: ${position} m, ${names[top]} ${arkit[top].toFixed(2)}${sight}`);
    }
  }
}

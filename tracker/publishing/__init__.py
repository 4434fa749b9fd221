"""The live stream: ZeroMQ messages out, control requests in, and the client that reads them (docs/wire.md)."""

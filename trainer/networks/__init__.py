"""Networks that methods train: backbones, decoders, and networks of others to start from."""

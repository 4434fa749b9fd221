"""Other face trackers behind one small protocol, so that they can be measured on the frames that ours gets.

A subject runs in a process of its own (``serve``), with its own Python environment, pinned to one core, and is driven by
``client``. ``environment`` makes the environment of the peers.
"""

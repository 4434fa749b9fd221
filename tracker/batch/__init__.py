"""Many clips into many takes: what is still to do, who does it, and how good the tracks have become (docs/takes.md)."""

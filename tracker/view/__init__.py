"""Looking at tracking as it happens, or at a take: the Rerun viewer fed with video, mesh, curves and timings (docs/view.md)."""

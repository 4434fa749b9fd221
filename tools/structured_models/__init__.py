"""Files of the exact published structure of other people's head models, made from the built-in head.

FLAME, the Basel Face Model and GNM may not be passed on or are too large to keep here; their *structure* is public. These
files let tests, figures and the curious go through the importers without them: same keys, shapes, number types, units,
axes and pickled classes, with the built-in head's shape inside.
"""

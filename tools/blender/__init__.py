"""The Blender add-on, its packaging, and what runs with Blender as a Python module."""

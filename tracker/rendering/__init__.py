"""Pictures: drawing tracked faces over video, and rendering synthetic faces of known parameters."""

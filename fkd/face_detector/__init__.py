"""Training of a face detector: whole photos in, one map of face centres out."""

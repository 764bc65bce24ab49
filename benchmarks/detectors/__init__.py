"""A table of face detectors: what they miss, what they find too much, and how long they take."""

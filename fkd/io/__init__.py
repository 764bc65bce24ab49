"""Files: images, videos, predictions, downloads, and atomic writes."""

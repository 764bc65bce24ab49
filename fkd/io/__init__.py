"""Files: images, videos, CSV, predictions, downloads, and atomic writes."""

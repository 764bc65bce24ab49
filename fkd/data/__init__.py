"""Sources of annotated faces, and the way from their files to batches."""

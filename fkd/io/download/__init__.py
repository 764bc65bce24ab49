"""Downloads: the client, checksums, and archives."""

"""Data sets from the web: downloaded, unpacked safely, verified."""

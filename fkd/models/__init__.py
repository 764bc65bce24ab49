"""The networks: one small file per architecture."""

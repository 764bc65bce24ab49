"""The commands, one in each module: `fkd NAME`, or in a clone `python scripts/NAME.py`, calls its `main`."""

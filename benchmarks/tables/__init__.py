"""The tables of README and documentation, made of the files in `results/`."""

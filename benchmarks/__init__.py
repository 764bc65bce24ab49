"""Benchmarks of fkd: both sides of every ratio are measured in one run on one machine."""

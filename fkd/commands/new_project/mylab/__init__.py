"""Nets, losses and other parts of mylab's experiments."""

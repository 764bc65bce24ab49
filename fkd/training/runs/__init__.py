"""A run folder: what it keeps, how it is resumed, and what may resume in it."""

"""The documentation, built with Sphinx; `extension` makes parts of it of the project's files."""

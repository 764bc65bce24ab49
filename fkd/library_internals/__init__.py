"""Undocumented parts of libraries that fkd uses, one module for each library; pyproject.toml bounds their versions.

`tests/test_library_internals.py` names what a newer version lacks or does differently.
"""

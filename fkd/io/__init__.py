"""Reading and writing of files, and downloads."""

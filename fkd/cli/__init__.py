"""What all scripts share: their command line, input media, summaries and sweep folders."""

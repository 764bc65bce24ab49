"""Datasets larger than memory or one disk: images in tar files beside an index, read nearly in the order of the files.

The format is WebDataset's (https://github.com/webdataset/webdataset, "the WebDataset format": plain tar files in which
the members of one sample share their name up to the first dot). Its library is not used, because it cannot resume an
epoch and gives processes different numbers of batches; litdata is not used, because it has its own format and needs
the clients of two cloud stores. Members of a tar file are plain bytes at known places: with a table of these places a
sampler can give exact orders, shares of each process, and resume.

`NAME-00000.tar` holds for each image `NUMBER.png` (or `.jpg`; `.pgm` and `.ppm` are raw pixels, which are read without
a copy) and `NUMBER.json` with its faces, for other programs. `index.json` and `table/*.npy` hold the faces and the
place of each image; they are memory-mapped.
"""

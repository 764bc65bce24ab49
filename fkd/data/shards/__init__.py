"""Sets larger than memory, or than one disk: images in tar files beside an index, read in the order that they lie in.

The format is WebDataset's (https://github.com/webdataset/webdataset, "the WebDataset format": plain tar files in which
the members of one sample share their name up to the first dot). Of its library and of litdata neither is used, since
the former resumes no epoch and gives processes different numbers of batches, the latter has a format of its own and
brings the clients of two cloud stores, while members of a tar file are plain bytes at known places: a table of these
places makes the shards a data set by number, whose order, share for each process and resuming are a sampler's, and
exact.

`NAME-00000.tar` holds for each image `NUMBER.png` (`.jpg`; `.pgm` and `.ppm` are pixels as they are, which are read
without a copy) and `NUMBER.json` with its faces, for other programs. `index.json` and `table/*.npy` hold all that is
known of the faces, and where each image lies; they are memory-mapped.
"""

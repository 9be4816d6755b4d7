"""Images to datalists, datalists to folds: readers, the index, splits, phantoms."""

"""One training, from a bundle's recipe and a datalist to a run folder that is itself a model."""

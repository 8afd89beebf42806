"""A leaf of the catalogue: a page and a picture of what a fault does to the data and to each monitor, from a recorded run."""

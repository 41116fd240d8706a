"""Reports of the results, for people and for programs."""

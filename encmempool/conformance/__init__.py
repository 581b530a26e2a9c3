"""The vectors of the specifications against this package, or against any program that answers line by line."""

"""Destinations, one module or folder each; they do not import each other."""

"""The sources, one file or folder each. They do not import each other."""

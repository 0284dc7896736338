"""Rows in a table of the S3 destination: what arrives, read back from the plain prefix."""

"""The S3 destination on a real store."""

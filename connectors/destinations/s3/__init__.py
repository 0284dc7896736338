"""Parquet files in an S3 bucket as a destination."""

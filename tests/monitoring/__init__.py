"""What monitors are told."""

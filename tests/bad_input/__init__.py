"""What goes wrong, and what the operator is told."""

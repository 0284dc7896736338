"""The data plane: sources and destinations, and the shapes that travel between them. Never imports Django."""

"""PostgreSQL as a source: source.py has the order of the passes, the other files one noun each."""

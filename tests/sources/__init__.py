"""The PostgreSQL source, against real servers."""

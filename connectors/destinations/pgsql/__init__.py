"""PostgreSQL as a destination: destination.py has the class; each noun has a module."""

from connectors.destinations.pgsql.destination import PgsqlDestination

__all__ = ["PgsqlDestination"]

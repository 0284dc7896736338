"""Django migrations: changes of the control database's tables."""

"""Every PostgreSQL type, from PostgreSQL to PostgreSQL."""

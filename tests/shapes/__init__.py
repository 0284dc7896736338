"""Names, shapes of tables, and the keys of the mapping that change what arrives."""

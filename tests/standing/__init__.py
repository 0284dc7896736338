"""How streams and mappings stand, in words."""

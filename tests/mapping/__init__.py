"""Tests of the contract of settings and mappings; they need no server."""

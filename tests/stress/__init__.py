"""Tests of the PostgreSQL source under load: many writers, open transactions, frozen processes."""

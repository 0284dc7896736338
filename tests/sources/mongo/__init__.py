"""Tests of the MongoDB source."""

"""Tests of destinations, on real servers."""

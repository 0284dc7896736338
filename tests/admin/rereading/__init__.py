"""Tests of the pages that have rows read again: backfills and resets."""

"""Tests of schedules, workers, recovery and stops."""

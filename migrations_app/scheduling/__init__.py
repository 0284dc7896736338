"""Scheduling: which streams are due, and when next. Each pass takes a fixed number of queries, however many streams."""

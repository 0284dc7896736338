"""Tests of the admin in a browser: a real server, a real control database, Chromium."""

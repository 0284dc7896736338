"""The tests of the project, against real servers."""

"""The client for CI: `python -m migrations_app.ci`. Python's standard library alone, so that a bare job can run it."""

"""What monitors ask for: is the service ready, and its metrics. All of it comes from the control database.

So any process can answer for all of them, and a restart forgets nothing.
"""

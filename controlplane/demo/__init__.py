"""`./run demo`: a sample shop, the example mappings, two runs of each, and whether both sides are equal.

It has servers, a control database and keys of its own in `var/demo`, and touches nothing else.
"""

"""Rows as Arrow record batches: the types, and the way there from PostgreSQL's COPY text.

Imported lazily: pyarrow costs half a second, which runs between two PostgreSQL servers need not spend.
"""

"""Rows as Arrow record batches: the types, and the way there from PostgreSQL's COPY text.

Imported lazily: pyarrow costs half a second, which runs between two PostgreSQL servers need not spend.
"""

from connectors.arrow.no_pandas import keep_pandas_out

keep_pandas_out()

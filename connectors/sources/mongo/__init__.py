"""The MongoDB source. Imported lazily: pymongo, numpy and pyarrow cost a second, which other runs need not spend."""

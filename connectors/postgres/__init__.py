"""What the PostgreSQL source and destination share: sessions, error mapping, names, and COPY from one to the other."""

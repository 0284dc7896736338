"""The runner under fire: crashes, stops, leases, exit codes, stores."""

"""The control plane: jobs, runs, their history, and what people see of them."""

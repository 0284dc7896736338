"""What people see in the admin."""

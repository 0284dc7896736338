"""The Django project that runs the control plane."""

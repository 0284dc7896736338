"""Tests of the control plane: models, secrets, import and export, admin, mirror."""

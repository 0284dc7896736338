#!/usr/bin/env python3
"""Entry point of all management commands."""

from __future__ import annotations

import os
import sys

from controlplane.commands import main

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings")
    main(sys.argv)

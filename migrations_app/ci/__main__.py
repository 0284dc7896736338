"""The way in: `python -m migrations_app.ci apply|diff|run ...`."""

from __future__ import annotations

import sys

from migrations_app.ci.main import main

sys.exit(main(sys.argv[1:]))

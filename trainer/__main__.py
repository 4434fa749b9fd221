"""``python -m trainer``, which is what ``torchrun -m trainer`` starts."""

from __future__ import annotations

import sys

from trainer.cli import main

sys.exit(main())

"""The colours of everything that is drawn."""

from __future__ import annotations

BLUE, ORANGE = "#1f6f8b", "#d1603d"
INK, GREY, FAINT, PALE = "#22303c", "#8a98a5", "#9fb3c0", "#dfe5ea"
TRAINING, VALIDATION = BLUE, ORANGE

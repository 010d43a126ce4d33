from __future__ import annotations

from tests.promotion.cluster import serving

__all__ = ["serving"]

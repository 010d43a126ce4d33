"""Releases: the state machine, its guards, and the comparison that decides them. Never ray."""

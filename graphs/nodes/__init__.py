"""The node library."""

from graphs.nodes.control import constant, each, filter, parameter, switch

__all__ = ["constant", "each", "filter", "parameter", "switch"]

"""The fixtures of the tests of relay and reactions, for all of them to share each broker's one server."""

from tests.integration.hanse.told_unit import broker, told_unit

__all__ = ["broker", "told_unit"]

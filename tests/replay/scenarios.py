"""Which scenarios are recorded of which workflow: every function of its module that takes a scene alone."""

from __future__ import annotations

import inspect
from types import ModuleType

from tests.replay import complaint_scenarios, escalation_scenarios, sla_scenarios
from tests.replay.scene import Scenario


def _scenarios_of(module: ModuleType) -> list[Scenario]:
    functions = [one for one in vars(module).values() if inspect.iscoroutinefunction(one)]
    return [one for one in functions if list(inspect.signature(one).parameters) == ["scene"]]


SCENARIOS: dict[str, list[Scenario]] = {
    "sla": _scenarios_of(sla_scenarios),
    "complaint": _scenarios_of(complaint_scenarios),
    "escalation": _scenarios_of(escalation_scenarios),
}

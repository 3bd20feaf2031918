"""How many inputs the fuzzing tries, and how: settings for its tests alone."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

EXAMPLES_VARIABLE = "HANSE_FUZZ_EXAMPLES"
CI_EXAMPLES = 8
"""How many inputs of each kind an rpc gets in CI, always the same: enough to reach every rpc's own code."""

_asked = os.environ.get(EXAMPLES_VARIABLE)
_examples = int(_asked or CI_EXAMPLES)

FUZZED = settings(
    max_examples=_examples,
    derandomize=_asked is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # The servers keep what an input did: to make a failing one smaller would be another story each time.
    phases=[Phase.generate],
    print_blob=False,
)
FEWER = settings(FUZZED, max_examples=-(-_examples // 4))
"""For inputs that hold a fact of every type."""

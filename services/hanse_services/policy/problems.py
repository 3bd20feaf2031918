"""What is wrong with a document, as an error says it: in full where it fits, by its place otherwise."""

from collections.abc import Sequence

from hanse_protos.policy.v1.policy_pb2 import PolicyProblem

MAX_NAMED_PROBLEMS = 30
"""How many problems an error names by their path: it travels in HTTP/2 trailers, which hold about 8 kB."""
MAX_QUOTED_PROBLEMS = 5
"""How many problems an error describes, for the same reason. LintPolicy describes them all."""
MAX_PROBLEM_CHARACTERS = 160
"""How much an error quotes of one problem."""
MAX_PATH_CHARACTERS = 60
"""How much an error quotes of one path; hardly any is longer."""


def quoted(problems: Sequence[PolicyProblem]) -> str:
    """Describe problems, as far as they fit into a status."""
    texts = [f"{problem.path}: {problem.message}"[:MAX_PROBLEM_CHARACTERS] for problem in problems]
    left_out = len(problems) - MAX_QUOTED_PROBLEMS
    ending = f"; and {left_out} more" if left_out > 0 else ""
    return f"{'; '.join(texts[:MAX_QUOTED_PROBLEMS])}{ending}"


def named(problems: Sequence[PolicyProblem]) -> dict[str, str]:
    """Return the metadata that names the places of problems, as far as they fit into a status."""
    return {
        "paths": ", ".join(problem.path[:MAX_PATH_CHARACTERS] for problem in problems[:MAX_NAMED_PROBLEMS]),
        "problems": str(len(problems)),
    }

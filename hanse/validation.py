"""Checking a message against the rules that its contract declares. It knows no gRPC: commands may use it too."""

from typing import Any

import protovalidate
from google.protobuf.message import Message

from hanse.errors import ValidationFailed

MAX_NAMED_PROBLEMS = 10
"""How many broken rules of a request are named; whoever corrects them is told of the next ones."""


def validate(message: Message) -> None:
    """Check the rules that the message's contract declares. Raises ValidationFailed, naming the fields."""
    try:
        protovalidate.validate(message)
    except protovalidate.ValidationError as error:
        problems = {_path_of(violation): violation.proto.message or "is not valid" for violation in error.violations}
        named = list(problems)[:MAX_NAMED_PROBLEMS]
        text = "; ".join(f"{path}: {problems[path]}" for path in named)
        more = f"; and {len(problems) - len(named)} more" if len(problems) > len(named) else ""
        raise ValidationFailed(f"the request breaks its contract: {text}{more}", fields=", ".join(named)) from error


def _path_of(violation: Any) -> str:
    """Return where a rule is broken, "tickets[3].title"."""
    return ".".join(_step_of(element) for element in violation.proto.field.elements) or "request"


def _step_of(element: Any) -> str:
    subscript = element.subscript
    return f"{element.field_name}[{subscript.value}]" if subscript else str(element.field_name)

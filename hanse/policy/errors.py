"""What can fail while a policy is evaluated. What is wrong with a policy itself is `hanse.errors.PolicyInvalid`."""

from __future__ import annotations

from hanse.errors import FailedPrecondition, InvalidArgument


class CategoryUnknown(InvalidArgument):
    """Raise with `category`."""

    reason = "CATEGORY_UNKNOWN"
    message = "The policy in force has no category of this id."
    hint = "Choose one of the policy's categories."


class ServiceUnknown(InvalidArgument):
    """Raise with `service`."""

    reason = "SERVICE_UNKNOWN"
    message = "The policy in force has no service of this id."
    hint = "Choose one of the catalogue's services, or leave the service out."


class CategoryNotCovered(InvalidArgument):
    """Raise with `service` and `category`."""

    reason = "CATEGORY_NOT_COVERED"
    message = "The service does not cover this category."
    hint = "Choose another service, or leave it out to have the one that covers the category."


class UnitUnknown(FailedPrecondition):
    """Raise with `unit`."""

    reason = "UNIT_UNKNOWN"
    message = "The policy in force does not list this unit."
    hint = "Have headquarters publish a policy that lists the unit."


class CalendarUnknown(FailedPrecondition):
    """Raise with `calendar`. A clock may outlive the policy version that named its calendar."""

    reason = "CALENDAR_UNKNOWN"
    message = "The policy in force has no calendar of this id, but a clock still counts on it."
    hint = "Have headquarters publish a policy that keeps the calendar until no open ticket uses it."


class ConditionFailed(FailedPrecondition):
    """Raise with `path` and `problem`. The condition is well formed, but has no answer for the facts at hand.

    A live ticket never meets it: `hanse.policy.unanswered` hears of it, and the condition does not hold.
    """

    reason = "CONDITION_FAILED"
    message = "A condition of the policy has no answer for this ticket."
    hint = "Have headquarters correct the condition that is named, and publish the policy again."


class HorizonExceeded(FailedPrecondition):
    """Raise with `calendar`."""

    reason = "HORIZON_EXCEEDED"
    message = "The working time lies beyond the horizon that calendars are computed for."
    hint = "Check that the calendar has working time, and that the target is meant to be this long."

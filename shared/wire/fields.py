"""Fields of several answers, each with its meaning and an example."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TASK_ID = "5f0c2c9e-6f5f-4d0e-9a57-2f6f3f0f2a11"
AT = "2026-03-01T12:00:00Z"

TraceId = Annotated[str, Meta(description="The trace's id: 32 hex digits.", examples=[TRACE_ID])]
TaskId = Annotated[UUID, Meta(description="The task's id.", examples=[TASK_ID])]
EventId = Annotated[str, Meta(description="The event's id.", examples=["e-1"])]
EventSource = Annotated[str, Meta(description="The event's sender.", examples=["repricer"])]
EventType = Annotated[str, Meta(description="The event's type.", examples=["competitor_price_changed"])]
Attempts = Annotated[int, Meta(description="The number of starts.", examples=[1])]
Version = Annotated[int, Meta(description="Version of the price sheet; only grows.", examples=[7])]
PolicyVersion = Annotated[int, Meta(description="Version of the policy that decided the price.", examples=[1])]
CreatedAt = Annotated[datetime, Meta(description="The time of its acceptance.", examples=[AT])]
ComputedAt = Annotated[datetime, Meta(description="The time of the decision.", examples=[AT])]

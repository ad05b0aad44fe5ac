"""All cases, in the order in which they play."""

from tests.chaos import worker_killed
from tests.chaos.case import Case

ALL: tuple[Case, ...] = (*worker_killed.CASES,)

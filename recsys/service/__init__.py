"""The one object that the API, the command line and batch scoring all ask, with its questions and answers."""

from recsys.service.items.questions import (
    DEFAULT,
    MAX_HISTORY,
    MAX_K,
    Answer,
    Degraded,
    Options,
    Question,
    Readiness,
    Scored,
)
from recsys.service.recommender import Recommender

__all__ = [
    "DEFAULT",
    "MAX_HISTORY",
    "MAX_K",
    "Answer",
    "Degraded",
    "Options",
    "Question",
    "Readiness",
    "Recommender",
    "Scored",
]

"""Hypothesis times no example: a busy machine is not a failing test."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

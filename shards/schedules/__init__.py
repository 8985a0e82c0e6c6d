"""Schedules and cron of actors, and the alarm that wakes those whose time has come."""

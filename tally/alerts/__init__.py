"""Alerts: rules, their evaluation, states that survive a restart, and the delivery of changes. See docs/alerts.md."""

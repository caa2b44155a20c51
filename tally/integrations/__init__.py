"""Integrations with web frameworks: Django, and timing middleware for ASGI and WSGI applications."""

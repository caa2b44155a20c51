"""tally in a Django site, as `INSTALLED_APPS = ["tally"]`. See docs/django.md.

Translates between Django and the engine, the API's service, the client and the collector, and does nothing by itself.
"""

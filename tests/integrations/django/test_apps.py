"""The app configuration."""

from django.apps import apps
from django.core.checks.registry import registry
from django.test import override_settings

from tally.apps import TallyConfig
from tally.integrations.django import checks, models


def test_installing_tally_is_enough() -> None:
    """`INSTALLED_APPS = ["tally"]` installs the app with its model, under the label `tally`."""
    config = apps.get_app_config("tally")
    assert isinstance(config, TallyConfig)
    assert [models.Archive] == list(config.get_models())
    assert "tally_archive" == models.Archive._meta.db_table


def test_it_can_be_named_in_full() -> None:
    """The path of the configuration class works in INSTALLED_APPS too."""
    with override_settings(INSTALLED_APPS=["tally.apps.TallyConfig"]):
        assert isinstance(apps.get_app_config("tally"), TallyConfig)


def test_the_checks_are_registered() -> None:
    """The checks of settings run always, and the check of access only for deployment."""
    always: set[object] = set(registry.get_checks())
    before_deployment: set[object] = set(registry.get_checks(include_deployment_checks=True))
    assert {checks.check_settings, checks.check_admin} <= always
    assert {checks.check_access} == {each for each in before_deployment - always if each in vars(checks).values()}

"""The site's `manage.py`: checks and migrations."""

from tests.integrations.django.example.shop import Shop


def test_a_sound_site_is_told_nothing(unmigrated: Shop) -> None:
    """`check` reports nothing, and no migration is missing."""
    for arguments in (["check"], ["makemigrations", "--check", "--dry-run"]):
        done = unmigrated.manage(*arguments)
        assert (0, "") == (done.returncode, done.stderr)


def test_open_urls_are_told_before_a_deployment(unmigrated: Shop) -> None:
    """`check --deploy` warns of open URLs until a token is set."""
    assert "tally.W001" in unmigrated.manage("check", "--deploy").stderr
    unmigrated.configure(TALLY_READ_TOKEN="r")
    assert "tally.W001" not in unmigrated.manage("check", "--deploy").stderr


def test_a_malformed_setting_stops_the_start(unmigrated: Shop) -> None:
    """Every command reports the malformed setting, its value and what would be valid."""
    unmigrated.configure(TALLY_FLUSH_TIME="soon")
    done = unmigrated.manage("tallyserver")
    assert 1 == done.returncode
    assert "(tally.E001) TALLY_FLUSH_TIME='soon' is not a duration: use a number of seconds" in done.stderr

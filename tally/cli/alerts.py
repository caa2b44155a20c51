"""`tally alerts`: checks, tests, lists and silences alerts."""

import json
import time

import click

from tally.alerts import rules as rules_file
from tally.alerts.evaluator import rules_path
from tally.alerts.memory import Memory
from tally.alerts.replay import replay
from tally.alerts.rules import Rule, redact
from tally.alerts.senders import find_problem
from tally.alerts.silences import parse_silence
from tally.cli.group import FAILED, Group
from tally.cli.options import with_settings
from tally.cli.progress import Progress
from tally.cli.table import echo_table, format_utc
from tally.cluster.catalog import open_answers
from tally.engine import Catalog
from tally.engine.asking.question import parse_time
from tally.engine.definition import AUTO
from tally.errors import InvalidAlerts
from tally.log import pluralize
from tally.settings import Settings

HEADER = ("alert", "name", "state", "since", "value")
FIRED = ("fired", "ended", "name", "value")


@click.group(cls=Group)
def alerts() -> None:
    """Check, test, list and silence alerts.

    The rules are in alerts.toml in the data directory. `tally serve` and `tally collect` evaluate them.

    Examples:
      tally alerts check
      tally alerts test checkout-slow --since -7d
      tally alerts silence 'checkout-*' --for 2h --why 'the database is being moved'

    See also:
      tally alerts COMMAND --help
    """


@alerts.command()
@with_settings("TALLY_DATA_DIR", "TALLY_ALERTS", "TALLY_CLUSTER_FILE", "TALLY_ANSWER_FROM")
@click.pass_context
def check(context: click.Context, /, *, settings: Settings) -> None:
    """Check the rules of alerts.

    Prints each problem with its line and column. A running server keeps the rules from before while there are problems.
    Archives that do not exist, programs that cannot run, and URLs that need Apprise or that it does not know are
    problems too. With --answer-from cluster, the archives are those of the cluster.

    Examples:
      tally alerts check
      tally alerts check --alerts alerts.toml

    Exit status:
      0  all rules are right
      1  there are problems, or the output cannot be written

    Output:
      stdout  a line for each problem, or the number of rules
      stderr  errors only
    """
    path = rules_path(settings)
    rules, problems = rules_file.read(path)
    texts = [f"{path.name}:{problem}" for problem in problems]
    texts += [f"{path.name}: {name}: {text}" for name, rule in rules.items() for text in _find_problems(rule, settings)]
    for text in texts:
        click.echo(text)
    if not texts:
        click.echo(f"{pluralize(len(rules), 'rule')}, no problem")
    context.exit(FAILED if texts else 0)


def _find_problems(rule: Rule, settings: Settings) -> list[str]:
    found = [problem for receiver in rule.notify if (problem := find_problem(receiver))]
    catalog = open_answers(settings, Catalog(settings.data_dir))
    if rule.archive != AUTO and rule.archive not in catalog:
        where = "the cluster" if settings.answer_from == "cluster" else settings.data_dir
        found.append(f"there is no archive {rule.archive!r} in {where}")
    elif rule.archive != AUTO and rule.ask.startswith("p") and not catalog[rule.archive].definition().percentiles:
        advice = f"tally archives edit {rule.archive} --percentiles 1"
        found.append(f"archive {rule.archive!r} keeps no percentiles: {advice}")
    return found


@alerts.command()
@click.argument("rule")
@click.option("--since", metavar="TIME", default="-6h", show_default=True,
              help="when to begin: unix seconds, ISO 8601 or relative")  # fmt: skip
@with_settings("TALLY_DATA_DIR", "TALLY_ALERTS", "TALLY_CLUSTER_FILE", "TALLY_ANSWER_FROM")
def test(*, settings: Settings, rule: str, since: str) -> None:
    """Replay a rule over the archive, and print when it would have fired.

    Every bucket ends one window, as when the rule is evaluated. With the archive auto, the archive that still keeps
    --since answers, and its buckets may be longer than those by which the rule is evaluated now. Late samples are in
    their buckets already, so a rule with a short delay may have seen other values. Nobody is told anything. With
    --answer-from cluster, the archives of all sources are asked.

    Arguments:
      RULE  the name of the rule in alerts.toml

    Columns:
      fired, ended  when it would have begun and ended to fire; ended is empty if it still would
      name          of a rule with each: the name or group
      value         the first value that was too high or too low

    Examples:
      tally alerts test checkout-slow --since -7d

    Output:
      stdout  a table, empty if it would not have fired
      stderr  errors only, and on a terminal the progress
    """
    found = _find_rule(settings, rule)
    now = time.time()
    with Progress() as shown:

        def show(done: int, every: int) -> None:
            if done % 100 == 0:
                shown.show(f"window {done} of {every}")

        fired = list(
            replay(
                open_answers(settings, Catalog(settings.data_dir)),
                found,
                since=parse_time(since, now, "since"),
                until=now - found.delay,
                progress=show,
            )
        )
    echo_table(FIRED, [(format_utc(each.since), format_utc(each.until), each.name or None, each.value)
                       for each in sorted(fired, key=lambda each: each.since)])  # fmt: skip


def _find_rule(settings: Settings, name: str) -> Rule:
    rules = rules_file.load(rules_path(settings))
    if name not in rules:
        known = f": use {', '.join(rules)}" if rules else ""
        raise InvalidAlerts(f"there is no rule {name!r:.100} in {rules_path(settings)}{known}")
    return rules[name]


@alerts.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="print JSON instead of a table")
@with_settings("TALLY_DATA_DIR")
def list_(*, settings: Settings, as_json: bool) -> None:
    """List the states of alerts, silences, and what waits for receivers.

    States are ok, pending (the condition holds, but not yet for long enough), firing, and unknown (there is no data).

    Columns:
      alert, name   the rule, and the name or group of a rule with each
      state, since  its state, and since when
      value         the last value

    Examples:
      tally alerts list

    Output:
      stdout  a table, followed by silences, rules that cannot be evaluated and waiting changes; or with --json an array
      stderr  errors only
    """
    memory = Memory(settings.data_dir)
    kept, known = memory.read()
    states = [(rule, name, each.state) for rule, of in kept.items() for name, each in of.items()]
    if as_json:
        listed = [{"rule": rule, "name": name, "state": state.kind, "since": state.changed, "value": state.value}
                  for rule, name, state in states]  # fmt: skip
        click.echo(json.dumps(listed, indent=2, ensure_ascii=False))
        return
    rows = [(rule, name or None, state.kind, format_utc(state.changed), state.value) for rule, name, state in states]
    echo_table(HEADER, rows)
    for silence in memory.silences(time.time()):
        until = format_utc(int(silence.until))
        click.echo(f"silence {silence.id}: {silence.rule} until {until}: {silence.why}")
    for name, rule in known.items():
        if rule.error:
            click.echo(f"{name} cannot be evaluated: {rule.error}")
    for waiting in memory.waiting():
        click.echo(f"{pluralize(waiting.pending, 'change')} for {redact(waiting.receiver)}: {waiting.error or 'new'}")


@alerts.command()
@click.argument("rule")
@click.option("--for", "length", metavar="TIME", required=True, help="how long, such as 30min, 2h or 1d")
@click.option("--why", metavar="TEXT", required=True, help="the reason, for others")
@with_settings("TALLY_DATA_DIR")
def silence(*, settings: Settings, rule: str, length: str, why: str) -> None:
    """Silence rules for a time: nobody is notified.

    The rules are still evaluated and shown. Whoever was not told of an alert that still fires at the end is told then.

    Arguments:
      RULE  the name of a rule, or a glob such as 'checkout-*'

    Examples:
      tally alerts silence checkout-slow --for 2h --why 'moving the database'

    Output:
      stdout  the number of the silence, and when it ends
      stderr  errors only
    """
    glob, reason, seconds = parse_silence({"rule": rule, "for": length, "why": why})
    now = time.time()
    made = Memory(settings.data_dir).silence(glob, reason, since=now, until=now + seconds)
    click.echo(f"silence {made.id} of {made.rule} ends {format_utc(int(made.until))}")


@alerts.command()
@click.argument("number", type=click.IntRange(min=1))
@with_settings("TALLY_DATA_DIR")
def unsilence(*, settings: Settings, number: int) -> None:
    """End a silence.

    Its alerts tell their next change again.

    Arguments:
      NUMBER  its number, as tally alerts list shows it

    Examples:
      tally alerts unsilence 1

    Output:
      stdout  the number of the silence
      stderr  errors only
    """
    if not Memory(settings.data_dir).end_silence(number):
        raise InvalidAlerts(f"there is no silence {number}: see tally alerts list")
    click.echo(f"ended silence {number}")

"""``manage.py operate``: the bulk actions of the admin, from a terminal."""

from __future__ import annotations

import contextlib
import shlex
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from herds.domain.states import ACTIVE_OPERATIONS, OperationState, TargetState
from herds.domain.words import counted
from herds.errors import ElephaasError, PreconditionFailed
from herds.management.plan_text import print_plan
from herds.management.terminal import (
    EXIT_STATUS,
    as_json,
    await_plan,
    follow,
    person,
    print_follow_ups,
    print_outcomes,
)
from herds.models import Operation, OperationTarget
from herds.operations import reaper, registry, requests
from herds.operations.requests import Requester
from herds.operations.runbook import runbook_of
from herds.selectors.choosing import choose_instances
from herds.selectors.operations import workers_alive

_ON_OPERATIONS = ("show", "cancel", "resume", "retry", "approve", "decline")
_TRIES = 3  # to type a herd's name


class Command(BaseCommand):
    """Plan, confirm and follow an action; or show, cancel, resume, retry one."""

    help = (
        "Do something to every instance that the options select. Options of one kind "
        "add, different kinds narrow. The plan is shown first. Exit status: 0 all "
        "succeeded, 3 some did, 1 none did or nothing was done, 2 wrong usage."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        names = [action.name for action in registry.all_actions()]
        parser.add_argument("action", choices=[*names, *_ON_OPERATIONS])
        chooser = parser.add_argument_group("which instances")
        for option, example in (
            ("herd", "trade"),
            ("server", "ele02"),
            ("environment", "prod"),
            ("instance", "trade@ele02"),
        ):
            chooser.add_argument(
                f"--{option}",
                action="append",
                default=[],
                metavar="NAME",
                help=f"for example {example}; can be repeated",
            )
        chooser.add_argument("--all", action="store_true", help="every instance")
        parser.add_argument(
            "--operation",
            type=int,
            metavar="NUMBER",
            help=f"which one to {', '.join(_ON_OPERATIONS)}",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="show the plan and do nothing"
        )
        parser.add_argument(
            "--yes",
            action="store_true",
            help="do not ask; warnings of the plan count as acknowledged",
        )
        parser.add_argument(
            "--confirm-herd",
            action="append",
            default=[],
            metavar="NAME",
            help="give the herd's name where the plan asks for it; can be repeated",
        )
        parser.add_argument("--reason", default="", help="why, for the record")
        parser.add_argument(
            "--stop-at-first-failure",
            action="store_true",
            help="begin no further target once one has failed",
        )
        parser.add_argument(
            "--choose",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="choose other than planned, such as method=rsync; can be repeated",
        )
        parser.add_argument(
            "--bandwidth",
            type=float,
            default=0.0,
            metavar="MB",
            help="megabytes a second that a copy may take (default: no limit)",
        )
        parser.add_argument(
            "--detach", action="store_true", help="do not wait for the end"
        )
        printed = parser.add_mutually_exclusive_group()
        printed.add_argument(
            "--json",
            action="store_true",
            help="print the operation as JSON, and nothing else, on standard output",
        )
        printed.add_argument(
            "--runbook",
            action="store_true",
            help="with show or --dry-run: print the plan as a shell script",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self._json = options["json"]
        self._is_for_people = not (options["json"] or options["runbook"])
        try:
            operation = self._operate(options)
        except ElephaasError as error:
            raise CommandError(error.sentence()) from error
        if operation is None:
            return
        if self._json:
            self.stdout.write(as_json(operation))
        if options["action"] == "show":
            return
        status = _exit_status(operation, detached=options["detach"])
        # Who cancels wants nothing else than that it ends.
        if status and options["action"] != "cancel":
            sys.exit(status)

    def _operate(self, options: dict[str, Any]) -> Operation | None:
        requester = Requester(name=person(), source="terminal")
        if options["runbook"] and not (
            options["dry_run"] or options["action"] == "show"
        ):
            raise PreconditionFailed(
                "--runbook shows a plan and does nothing.",
                hint="Nothing was done. Use it with show, or with --dry-run.",
            )
        if options["action"] in _ON_OPERATIONS:
            operation = self._act_on(options, requester)
        else:
            operation = self._plan(options, requester)
        if options["runbook"] and options["action"] == "show":
            self.stdout.write(runbook_of(operation))
            return None
        if operation.state not in {
            OperationState.PLANNED,
            *ACTIVE_OPERATIONS,
        }:
            return operation
        if operation.state == OperationState.PLANNED:
            if options["action"] == "show":
                return operation
            confirmed = self._confirm(operation, options, requester)
            if confirmed is None:
                return None
            operation = confirmed
            if operation.state == OperationState.PLANNED:
                self.stderr.write(
                    f"Operation {operation.pk} waits until another person says yes: "
                    f"operate approve --operation {operation.pk}"
                )
                return operation
        return operation if options["detach"] else self._follow(operation)

    def _act_on(self, options: dict[str, Any], requester: Requester) -> Operation:
        number = options["operation"]
        if number is None:
            raise PreconditionFailed(
                f"Which operation? {options['action']} needs it.",
                hint="Name it: --operation 42.",
            )
        if options["dry_run"] and options["action"] in {"cancel", "resume"}:
            raise PreconditionFailed(
                f"--dry-run means nothing to {options['action']}: it has no plan.",
                hint="Nothing was done. Leave it out to act, or use show.",
            )
        if options["action"] == "cancel":
            return requests.cancel(number, requester)
        if options["action"] == "resume":
            return requests.resume(number, requester)
        if options["action"] == "retry":
            return self._await_plan(requests.retry(number, requester))
        if options["action"] == "decline":
            return requests.decline(number, requester, options["reason"])
        operation = requests.found(number)
        if options["action"] == "approve" and operation.asked_at is None:
            raise PreconditionFailed(f"Nobody asks for a yes to operation {number}.")
        if self._is_for_people:
            print_plan(operation, self.stdout)
            print_outcomes(operation, self.stdout)
        return operation

    def _plan(self, options: dict[str, Any], requester: Requester) -> Operation:
        chosen = {
            "herds": options["herd"],
            "servers": options["server"],
            "environments": options["environment"],
            "instances": options["instance"],
        }
        if not options["all"] and not any(chosen.values()):
            raise PreconditionFailed(
                "No instance was chosen.",
                hint="Use --herd, --server, --environment, --instance, or --all.",
            )
        instances = choose_instances(**chosen).values_list("pk", flat=True)
        parameters = {}
        if options["bandwidth"] > 0:
            parameters["bandwidth"] = int(options["bandwidth"] * 1_000_000)
        operation = requests.draft(options["action"], instances, requester, parameters)
        return self._await_plan(operation)

    def _await_plan(self, operation: Operation) -> Operation:
        """Wait where a worker looks at the hosts first, then show the plan."""
        if operation.state == OperationState.PLANNING:
            self._warn_without_worker(operation)
            await_plan(operation)
        if self._is_for_people:
            print_plan(operation, self.stdout)
        return operation

    def _confirm(
        self, operation: Operation, options: dict[str, Any], requester: Requester
    ) -> Operation | None:
        """Ask, unless told not to; None where the answer was no."""
        if options["dry_run"]:
            try:
                if self._json:
                    self.stdout.write(as_json(operation))
                if options["runbook"]:
                    self.stdout.write(runbook_of(operation))
            finally:
                self._put_away(operation, requester)
            return None
        asks = registry.get(operation.action).confirm and not options["yes"]
        if asks and not sys.stdin.isatty():
            self._put_away(operation, requester)
            raise PreconditionFailed(
                "Nobody can be asked: standard input is no terminal.",
                hint="Nothing was done. Add --yes to act without a question.",
            )
        if asks and not self._says_yes(operation):
            self._put_away(operation, requester)
            self.stderr.write("Nothing was done.")
            sys.exit(1)
        try:
            typed = self._names(operation, options["confirm_herd"], asks)
            return requests.confirm(
                operation.pk,
                requester,
                reason=options["reason"],
                stop_at_first_failure=options["stop_at_first_failure"],
                acknowledged=True,
                choices=_choices(options["choose"]),
                typed=typed,
            )
        except PreconditionFailed:
            # A plan that cannot go as it is asked for is of no use to anybody.
            with contextlib.suppress(PreconditionFailed):
                self._put_away(operation, requester)
            raise

    def _put_away(self, operation: Operation, requester: Requester) -> None:
        """Discard a plan; one that another person asks for waits on."""
        if operation.asked_at is None:
            requests.discard(operation.pk, requester)

    def _says_yes(self, operation: Operation) -> bool:
        going = operation.targets.filter(state=TargetState.PLANNED).count()
        action = registry.get(operation.action)
        question = f"\n{action.verb} {counted(going, action.noun)}? Type yes: "
        return self._ask(question).lower() == "yes"

    def _names(
        self, operation: Operation, given: list[str], asks: bool
    ) -> dict[int, str]:
        """Collect the names that the plan asks for.

        Raises:
            PreconditionFailed: one is not given, and nobody typed it.
        """
        going = operation.targets.filter(state=TargetState.PLANNED)
        wanted = [target for target in going if target.plan.get("typed")]
        missing = [
            word
            for target in wanted
            if (word := target.plan["typed"]) not in given
            and not (asks and self._types(target, word))
        ]
        if missing:
            options = " ".join(
                f"--confirm-herd {shlex.quote(word)}" for word in missing
            )
            raise PreconditionFailed(
                "What this does cannot be undone, and needs the herd's name: "
                f"{', '.join(missing)}.",
                hint=f"Nothing was done. Type it when asked, or add {options}.",
            )
        return {target.pk: target.plan["typed"] for target in wanted}

    def _types(self, target: OperationTarget, word: str) -> bool:
        where = ", ".join(filter(None, [target.environment_name, target.hostname]))
        question = f"Type {word} to confirm ({where}): "
        for _ in range(_TRIES):
            answer = self._ask(question)
            if answer == word or not answer:
                return bool(answer)
            self.stderr.write(f"This is not {word}.")
        return False

    def _ask(self, question: str) -> str:
        """Ask at the terminal; nothing is the answer of who leaves."""
        try:
            self.stderr.write(question, ending="")
            self.stderr.flush()
            return sys.stdin.readline().strip()
        except KeyboardInterrupt:
            self.stderr.write("")
            return ""

    def _warn_without_worker(self, operation: Operation) -> None:
        if not workers_alive():
            self.stderr.write(
                f"No worker is alive: operation {operation.pk} waits until one is. "
                "Start one: manage.py worker"
            )

    def _follow(self, operation: Operation) -> Operation:
        out = self.stderr if self._json else self.stdout
        self._warn_without_worker(operation)
        try:
            operation = follow(operation, out, reaper.notice_losses)
        except KeyboardInterrupt:
            self.stderr.write(
                f"\nOperation {operation.pk} goes on without this terminal. Follow it: "
                f"manage.py operate show --operation {operation.pk}; end it: "
                f"manage.py operate cancel --operation {operation.pk}"
            )
            sys.exit(1)
        if not self._json:
            self.stdout.write(f"{operation.outcome}")
            print_follow_ups(operation, self.stdout)
        return operation


def _choices(given: list[str]) -> dict[str, str]:
    """Read what was chosen: name=value each.

    Raises:
        PreconditionFailed: one without a value.
    """
    choices = {}
    for each in given:
        name, separator, value = each.partition("=")
        if not separator or not name:
            raise PreconditionFailed(
                f"{each!r} chooses nothing.", hint="Write it as method=rsync."
            )
        choices[name] = value
    return choices


def _exit_status(operation: Operation, *, detached: bool) -> int:
    if detached and operation.state in ACTIVE_OPERATIONS:
        return 0
    return EXIT_STATUS.get(OperationState(operation.state), 1)

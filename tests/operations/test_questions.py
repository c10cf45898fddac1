"""What the terminal asks before it acts, and what it does not."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from herds.domain.states import OperationState
from herds.models import Herd, Operation


def test_refresh_is_not_asked_about_because_it_changes_nothing(trade: Herd) -> None:
    call_command("operate", "refresh", "--all", "--detach")

    assert Operation.objects.get().state == OperationState.QUEUED


def test_nothing_is_stopped_where_nobody_can_be_asked(trade: Herd) -> None:
    with pytest.raises(CommandError, match="Add --yes"):
        call_command("operate", "stop", "--all", "--detach")

    assert not Operation.objects.exclude(state=OperationState.PLANNED).exists()

"""What a rejoin says of a server that comes up in the middle."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from herds.errors import PreconditionFailed, ServerRuns
from herds.services import rejoin
from herds.services.outlook import Method
from herds.services.rungs import Climb


@pytest.mark.parametrize("method", list(Method))
def test_what_was_at_rest_and_runs_has_been_started_by_something(
    monkeypatch: pytest.MonkeyPatch, method: Method
) -> None:
    def refuse(*climb: Any) -> int:
        raise ServerRuns("PostgreSQL runs in /data on ele01; nothing was changed.")

    monkeypatch.setattr(rejoin, "bring_data", refuse)
    climb = cast(Climb, SimpleNamespace(target=SimpleNamespace(host="ele01")))

    with pytest.raises(PreconditionFailed, match="runs again: something there starts"):
        rejoin._bring_data(climb, method)

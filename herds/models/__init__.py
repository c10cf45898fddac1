"""The tables: inventory of the contract, and the record of operations."""

from .disaster_recovery import DisasterRecovery
from .discovery import Discovery
from .fences import Fence
from .inventory import Environment, Herd, Instance, Server
from .notices import Alarm, Notice
from .operations import (
    Operation,
    OperationJob,
    OperationOutput,
    OperationStep,
    OperationTarget,
    Worker,
)
from .people import AuditEntry, Freeze, Grant
from .refreshes import HostRefresh

__all__ = [
    "Alarm",
    "AuditEntry",
    "DisasterRecovery",
    "Discovery",
    "Environment",
    "Fence",
    "Freeze",
    "Grant",
    "Herd",
    "HostRefresh",
    "Instance",
    "Notice",
    "Operation",
    "OperationJob",
    "OperationOutput",
    "OperationStep",
    "OperationTarget",
    "Server",
    "Worker",
]

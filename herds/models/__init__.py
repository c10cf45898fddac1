"""The tables: inventory of the contract, and the record of operations."""

from .disaster_recovery import DisasterRecovery
from .discovery import Discovery
from .fences import Fence
from .inventory import Environment, Herd, Instance, Server
from .operations import (
    Operation,
    OperationJob,
    OperationOutput,
    OperationStep,
    OperationTarget,
    Worker,
)
from .refreshes import HostRefresh

__all__ = [
    "DisasterRecovery",
    "Discovery",
    "Environment",
    "Fence",
    "Herd",
    "HostRefresh",
    "Instance",
    "Operation",
    "OperationJob",
    "OperationOutput",
    "OperationStep",
    "OperationTarget",
    "Server",
    "Worker",
]

"""The record of operations: who did what to which target, step by step.

Rows name users, herds, hosts and instances as text beside the foreign keys, so
that the audit trail survives the deletion of any of them.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from herds.domain.states import OperationState, StepState, TargetState

from .inventory import Herd, Instance


def _choices(
    states: type[OperationState] | type[TargetState] | type[StepState],
) -> list[tuple[str, str]]:
    return [(state.value, state.value) for state in states]


class Worker(models.Model):
    """A process that executes operations, known by its heartbeat."""

    worker_id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    hostname = models.CharField(max_length=253)
    pid = models.IntegerField()
    concurrency = models.IntegerField()
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    stopped_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "ele_worker"
        ordering = ["-heartbeat_at"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"worker {self.pid} on {self.hostname}"


class Operation(models.Model):
    """One request of one person: an action on a list of targets."""

    operation_id = models.BigAutoField("number", primary_key=True)
    action = models.CharField(max_length=40)
    headline = models.TextField("what")
    afterwards = models.TextField(
        blank=True, default="", help_text="What will be true once all has succeeded."
    )
    state = models.CharField(
        max_length=20, choices=_choices(OperationState), default=OperationState.PLANNED
    )
    outcome = models.TextField(
        blank=True, default="", help_text="One sentence of what is true at the end."
    )
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, editable=False
    )
    requested_by_name = models.CharField("who", max_length=150)
    source = models.CharField(
        max_length=20, help_text="Where it was asked for: admin or terminal."
    )
    reason = models.TextField("why", blank=True, default="", max_length=2000)
    parameters = models.JSONField(default=dict, blank=True)
    concurrency = models.IntegerField(
        default=16, help_text="Herds worked on at the same time, at most."
    )
    stop_at_first_failure = models.BooleanField(default=False)
    retry_of = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="retries"
    )
    created_at = models.DateTimeField("when", db_default=Now())
    expires_at = models.DateTimeField(help_text="Until when the plan can be confirmed.")
    confirmed_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    asked_by_name = models.CharField(
        max_length=150,
        blank=True,
        default="",
        db_default="",
        help_text="Who said yes where a second person has to.",
    )
    asked_at = models.DateTimeField(null=True, blank=True)
    approved_by_name = models.CharField(
        max_length=150, blank=True, default="", db_default=""
    )
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_by_name = models.CharField(max_length=150, blank=True, default="")

    class Meta:
        db_table = "ele_operation"
        ordering = ["-operation_id"]
        default_permissions = ("view",)
        permissions = [("cancel_operation", "Can cancel operations of other people")]
        indexes = [
            models.Index(fields=["state"], name="ele_operation_state_idx"),
        ]

    def __str__(self) -> str:
        return f"operation {self.operation_id}"


class OperationTarget(models.Model):
    """One herd or instance of an operation, with its own outcome."""

    target_id = models.BigAutoField(primary_key=True)
    operation = models.ForeignKey(Operation, models.CASCADE, related_name="targets")
    position = models.IntegerField(help_text="Order on the page.")
    wave = models.IntegerField(
        default=0, help_text="Targets of a herd run wave after wave, a wave at once."
    )
    herd = models.ForeignKey(
        Herd, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    instance = models.ForeignKey(
        Instance, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    herd_key = models.CharField(
        max_length=40, help_text="What is locked while this target runs."
    )
    herd_name = models.CharField(max_length=100)
    environment_name = models.CharField(max_length=40, blank=True, default="")
    hostname = models.CharField(max_length=253, blank=True, default="")
    plan = models.JSONField(
        default=dict, help_text="The planned target as shown before the yes."
    )
    state = models.CharField(
        max_length=20, choices=_choices(TargetState), default=TargetState.PLANNED
    )
    outcome = models.TextField(blank=True, default="")
    detail = models.TextField(
        blank=True, default="", help_text="Technical detail, one unfold away."
    )
    follow_ups = models.JSONField(
        default=list, help_text="What is left to do: action, instance_id, words."
    )
    current_step = models.TextField(blank=True, default="")
    attempt = models.IntegerField(
        default=0, help_text="Counts claims, so that a worker once lost cannot write."
    )
    worker = models.ForeignKey(
        Worker, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "ele_operation_target"
        ordering = ["operation", "position"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["operation", "position"], name="ele_operation_target_key"
            ),
        ]
        indexes = [
            models.Index(
                fields=["state"],
                name="ele_target_active_idx",
                condition=Q(state__in=["queued", "running", "cancelling"]),
            ),
            models.Index(
                fields=["operation", "herd_key", "wave"], name="ele_target_herd_idx"
            ),
            # What was at work on a herd while a worker looked at it.
            models.Index(fields=["finished_at"], name="ele_target_finished_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.herd_name} on {self.hostname}"


class OperationJob(models.Model):
    """One herd of one operation, handed to the queue: what a worker takes at once."""

    job_id = models.BigAutoField(primary_key=True)
    operation = models.ForeignKey(Operation, models.CASCADE, related_name="jobs")
    herd_key = models.CharField(max_length=40)
    queue_id = models.BigIntegerField(null=True, help_text="Number in the queue.")
    worker = models.ForeignKey(
        Worker, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    is_done = models.BooleanField(default=False)

    class Meta:
        db_table = "ele_operation_job"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["operation", "herd_key"], name="ele_operation_job_key"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.operation_id}/{self.herd_key}"


class OperationStep(models.Model):
    """One step of a target: what was done, how it ended, what was seen."""

    step_id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    target = models.ForeignKey(OperationTarget, models.CASCADE, related_name="steps")
    attempt = models.IntegerField(default=1)
    number = models.IntegerField()
    name = models.CharField(max_length=60)
    words = models.TextField(help_text="What the step does, for people.")
    state = models.CharField(
        max_length=20, choices=_choices(StepState), default=StepState.RUNNING
    )
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    command = models.TextField(blank=True, default="")
    exit_status = models.IntegerField(null=True, blank=True)
    evidence = models.JSONField(default=dict)
    progress = models.JSONField(
        default=dict, help_text="Of long work: words, done, total (bytes), rate (B/s)."
    )
    message = models.TextField(blank=True, default="")

    class Meta:
        db_table = "ele_operation_step"
        ordering = ["target", "attempt", "number"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["target", "attempt", "number"], name="ele_operation_step_key"
            ),
        ]
        indexes = [
            # The last copies, which tell how long the next one takes.
            models.Index(
                fields=["-finished_at"],
                name="ele_step_copy_idx",
                condition=Q(name__in=["copy", "rewind"]),
            ),
        ]

    def __str__(self) -> str:
        return self.words


class OperationOutput(models.Model):
    """A numbered chunk of what a step's command printed."""

    output_id = models.BigAutoField(primary_key=True)
    step = models.ForeignKey(OperationStep, models.CASCADE, related_name="output")
    number = models.IntegerField()
    stream = models.CharField(max_length=6)
    text = models.TextField()

    class Meta:
        db_table = "ele_operation_output"
        ordering = ["step", "number"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["step", "number"], name="ele_operation_output_key"
            ),
        ]

    def __str__(self) -> str:
        return self.text

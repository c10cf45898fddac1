"""The faults by name."""

from __future__ import annotations

from collections.abc import Mapping

from tests.nemesis.faults import names, network, power, servers, service
from tests.nemesis.faults.fault import Fault

__all__ = ["FAULTS", "Fault"]

FAULTS: Mapping[str, type[Fault]] = {
    "none": Fault,
    "worker-killed": service.WorkerKilled,
    "worker-frozen": service.WorkerFrozen,
    "cancelled": service.Cancelled,
    "cut-worker-primary": network.CutWorkerPrimary,
    "cut-worker-candidate": network.CutWorkerCandidate,
    "cut-worker-sibling": network.CutWorkerSibling,
    "cut-worker-dns": network.CutWorkerDns,
    "cut-primary-candidate": network.CutPrimaryCandidate,
    "link-down-primary": network.LinkDownPrimary,
    "link-down-candidate": network.LinkDownCandidate,
    "link-down-sibling": network.LinkDownSibling,
    "link-down-dns": network.LinkDownDns,
    "primary-killed": power.PrimaryKilled,
    "candidate-killed": power.CandidateKilled,
    "candidate-powered-off": power.CandidatePoweredOff,
    "sibling-powered-off": power.SiblingPoweredOff,
    "sibling-loses-power": power.SiblingLosesPower,
    "promotion-frozen": servers.PromotionFrozen,
    "dns-stopped": names.DnsStopped,
    "dns-powered-off": power.DnsPoweredOff,
    "dns-other-value": names.DnsOtherValue,
    "dns-key-refused": names.DnsKeyRefused,
    "archiver-failing": servers.ArchiverFailing,
    "receiver-stopped": servers.ReceiverStopped,
    "replay-paused": servers.ReplayPaused,
    "sync-names": servers.SyncNames,
    "metadata-restarted": service.MetadataRestarted,
    "supervised": power.Supervised,
    "second-operation": service.SecondOperation,
    "promoted-by-hand": servers.PromotedByHand,
}
"""All of them; the first is none."""

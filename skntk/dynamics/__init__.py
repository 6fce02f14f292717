"""The tangent kernel of a network through its training (Sec. 5, App. E)."""

from .._utils.snapshots import SnapshotError
from ._tracker import KernelDynamicsTracker

__all__ = ["KernelDynamicsTracker", "SnapshotError"]

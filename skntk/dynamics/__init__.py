"""How the tangent kernel of a network changes while it is trained (Sec. 5, App. E)."""

from ._snapshots import SnapshotError
from ._tracker import KernelDynamicsTracker

__all__ = ["KernelDynamicsTracker", "SnapshotError"]

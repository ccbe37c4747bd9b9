"""One machine as a platform: containers under `runc`, or plain processes, behind a proxy that announces arrivals.

A *node*, a process of its own that survives its controller, starts and stops the instances and forwards requests:
``python -m smiless_core.adapters.local``, or `running_node`. `Local` is its client.
"""

from smiless_core.adapters.local.client import Local, running_node

__all__ = ["Local", "running_node"]

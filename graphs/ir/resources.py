"""What a worker needs to hold some nodes, and which nodes may share one."""

from __future__ import annotations

from collections.abc import Iterable

from graphs.ir.graph import Node, Resources, every_node_of


def resources_of(nodes: Iterable[Node]) -> Resources | None:
    """The largest need of some nodes, bodies included, since a batch passes them one by one.

    ``None`` where any worker will do: nodes without code have no needs.
    """
    needs = [node.resources for node in every_node_of(nodes) if node.ref]
    if not needs:
        return None
    memory = [need.memory_bytes for need in needs if need.memory_bytes is not None]
    accelerators = [need.accelerator for need in needs if need.accelerator]
    return Resources(
        cpus=max(need.cpus for need in needs),
        gpus=max(need.gpus for need in needs),
        memory_bytes=max(memory) if memory else None,
        accelerator=accelerators[0] if accelerators else None,
    )


def process_class(node: Node) -> object:
    """Nodes of equal classes share a process; one of class ``None`` joins any."""
    return ("isolated", node.name) if node.behaviour.isolate else resources_of([node])


def is_stateful(nodes: Iterable[Node]) -> bool:
    """Whether some nodes hold a model, so that a worker is worth keeping."""
    return any(node.kind == "model" for node in every_node_of(nodes))

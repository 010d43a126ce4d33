"""A graph drawn: text that other tools render."""

from __future__ import annotations

from graphs.ir import GRAPH, Graph, type_name


def mermaid(graph: Graph) -> str:
    """A graph as a Mermaid flow chart, its edges labelled with column names and Arrow types."""
    lines = ["flowchart LR", "  in([input])", "  out([output])"]
    for node in graph.nodes:
        shape = ("[[", "]]") if node.kind == "model" else ("[", "]")
        lines.append(f"  {node.name}{shape[0]}{node.name}{shape[1]}")
    for edge in graph.edges:
        if edge.source == edge.target == GRAPH:
            continue
        label = f"{edge.source_port}: {type_name(graph.type_of(edge))}"
        source, target = edge.source or "in", edge.target or "out"
        lines.append(f'  {source} -- "{label}" --> {target}')
    return "\n".join(lines)

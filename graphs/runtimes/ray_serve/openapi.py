"""The OpenAPI document of a graph's route: both forms of a request, its answers and refusals."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from graphs.runtimes.ray_serve.wire import Wire

_REF = "#/components/schemas/{model}"

_REFUSAL = {
    "title": "Refusal",
    "type": "object",
    "properties": {
        "detail": {
            "type": "array",
            "items": {
                "title": "Problem",
                "type": "object",
                "properties": {
                    "type": {"type": "string", "description": "what kind of problem"},
                    "loc": {
                        "type": "array",
                        "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                        "description": 'path of the field, such as ["body", 3, "text"]',
                    },
                    "msg": {"type": "string", "description": "what is wrong"},
                    "ctx": {
                        "type": "object",
                        "description": "of a rejected row: the node and the type of its error",
                    },
                },
                "required": ["type", "loc", "msg"],
            },
        }
    },
    "required": ["detail"],
}


def document(wire: Wire, version: str) -> dict[str, Any]:
    """OpenAPI 3.1 of one graph, as data. FastAPI adds the path it is reached under.

    Args:
        wire: the JSON forms of its rows.
        version: the graph's version.
    """
    name = wire.graph.name
    request: Any = TypeAdapter(wire.row_type | list[wire.row_type])  # type: ignore[name-defined]
    one: Any = wire.answer_type | wire.filtered_type
    entry: Any = one | wire.rejected_type
    answer: Any = TypeAdapter(one | list[entry])
    asked = request.json_schema(ref_template=_REF)
    answered = answer.json_schema(ref_template=_REF, mode="serialization")
    schemas = asked.pop("$defs") | answered.pop("$defs") | {"Refusal": _REFUSAL}
    refusal = {"$ref": _REF.format(model="Refusal")}
    version_header = {"X-Graph-Version": {"schema": {"type": "string", "const": version}}}
    score = {
        "operationId": name,
        "summary": f"Ask {name} about one row or a list of rows",
        "description": "An object is answered by an object, a list by a list in the same order. "
        "In a list, a row that the graph rejects is answered by its key and an error, and the "
        "others are answered as usual. A row that the graph filters is answered by its key and "
        "`filtered`.",
        "requestBody": {"required": True, "content": _json(asked)},
        "responses": {
            "200": {
                "description": "Answers",
                "headers": version_header,
                "content": _json(answered),
            },
            "413": {"description": "The body is too large", "content": _json(refusal)},
            "422": {"description": "A field is wrong, or the row was rejected"}
            | {"content": _json(refusal)},
        },
    }
    health = {
        "operationId": f"{name}_health",
        "summary": "Whether it answers, and at which version",
        "responses": {"200": {"description": "It does", "headers": version_header}},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": version},
        "paths": {"/": {"post": score}, "/health": {"get": health}},
        "components": {"schemas": schemas},
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}

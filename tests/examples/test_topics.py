"""The example graph on the real model."""

import numpy as np
import pyarrow as pa
import pytest

from graphs import run
from graphs.examples.descriptions import TOPICS
from graphs.examples.topics import LONGEST_TEXT, normalise, topics
from graphs.runtimes.kernel import Kernel

QUESTIONS = {
    "parse an ISO 8601 timestamp": "dates and times",
    "train a neural network": "machine learning",
    "send an HTTP request": "networking and http",
    "acquire a lock in a thread": "concurrency",
}


def documents(texts):
    columns = {"doc_id": [f"d{n}" for n in range(len(texts))], "text": texts}
    return pa.table(columns | {"package": ["p"] * len(texts), "kind": ["function"] * len(texts)})


@pytest.fixture(scope="module")
def kernel():
    return Kernel(topics.graph, [node.name for node in topics.graph.nodes])


def test_questions_find_their_topics():
    table = run(topics, documents(list(QUESTIONS))).table

    assert table["topic"].to_pylist() == list(QUESTIONS.values())
    assert all(0 < score <= 1 for score in table["score"].to_pylist())


def test_vectors_have_unit_length():
    kernel = Kernel(topics.graph, ["normalise", "MiniLM"])

    computed = kernel.run(documents(["a", "", "x " * 5_000]))

    vectors = np.array(computed.table["MiniLM.vector"].to_pylist())
    assert vectors.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_texts_are_cleaned_and_trimmed():
    assert normalise(["  a\n\tb ", "x" * 5_000]) == ["a b", "x" * LONGEST_TEXT]


def test_a_document_without_text_is_rejected_and_the_others_answered(kernel):
    computed = kernel.run(documents(["open a file", None, "open a file"]))

    assert computed.kept.tolist() == [0, 2]
    assert [(row.row, row.node) for row in computed.rejected] == [(1, "normalise")]


def test_each_topic_is_nearest_to_its_own_description(kernel):
    computed = kernel.run(documents(list(TOPICS.values())))

    assert computed.table["Classify.topic"].to_pylist() == list(TOPICS)

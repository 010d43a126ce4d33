"""From an Airflow connection to a cluster: what its fields mean, and what a wrong one is told."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import Connection

from airflow_provider.errors import BadConnection
from airflow_provider.hooks import RayHook, RaySettings, settings_of


def settings(extra: Any = None, **fields: Any) -> RaySettings:
    return settings_of(Connection(conn_id="ray", conn_type="ray", extra=extra, **fields))


def test_a_host_alone_is_enough() -> None:
    found = settings(host="head")
    assert found.cluster.address == "http://head:8265"
    assert found.serve_address == "http://head:8000"
    assert found.cluster.token == ""
    assert found.runtime_env == {}


def test_every_field_is_read() -> None:
    found = settings(
        host="head",
        port=443,
        schema="https",
        password="planted",
        extra='{"serve_address": "https://serve/", "verify": false, "runtime_env": {"a": 1}}',
    )
    assert found.cluster.address == "https://head:443"
    assert (found.cluster.token, found.cluster.verify) == ("planted", False)
    assert (found.serve_address, found.runtime_env) == ("https://serve", {"a": 1})
    assert "planted" not in repr(found)


def test_a_connection_uri_reads_the_same() -> None:
    uri = "ray://:token@head:1234/https?serve_address=http%3A%2F%2Fserve%3A8000"
    found = settings_of(Connection.from_uri(uri, conn_id="ray"))
    assert found.cluster.address == "https://head:1234"
    assert found.cluster.token == "token"
    assert found.serve_address == "http://serve:8000"


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("https://head:443/ray/", "https://head:443/ray"),
        ("[::1]", "http://[::1]:8265"),
        ("http://head", "http://head:8265"),
    ],
)
def test_a_pasted_url_is_understood(host: str, address: str) -> None:
    assert settings(host=host).cluster.address == address


def test_the_forms_text_fields_are_understood() -> None:
    found = settings(
        host="head", extra='{"verify": "/etc/ca.pem", "runtime_env": "{\\"pip\\": [\\"x\\"]}"}'
    )
    assert found.cluster.verify == "/etc/ca.pem"
    assert found.runtime_env == {"pip": ["x"]}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "no dashboard's address"),
        ({"host": "ftp://head"}, "no dashboard's address"),
        ({"host": "head:many"}, "no address"),
        ({"host": "head", "extra": '{"verify": 3}'}, "extra verify is 3"),
        ({"host": "head", "extra": '{"runtime_env": "{"}'}, "runtime_env is not JSON"),
        ({"host": "head", "extra": '{"runtime_env": [1]}'}, "runtime_env is a list"),
    ],
)
def test_a_wrong_connection_is_told_what_is_wrong_with_it(fields: Any, told: str) -> None:
    with pytest.raises(BadConnection, match=told) as raised:
        settings(**fields)
    assert "connection 'ray'" in str(raised.value)


@pytest.mark.server
def test_the_test_button_tells_the_version_or_the_remedy(ray_conn_id: str) -> None:
    works, text = RayHook(ray_conn_id).test_connection()
    assert works, text
    assert text.startswith("Ray 2.")
    works, text = RayHook("ray_no_token").test_connection()
    assert not works
    assert "password of the Airflow connection" in text

"""Ports that are handed out can be listened on."""

from __future__ import annotations

import socket

from demo.ports import HOST, free_block, free_ports, listens


def test_free_ports_differ_and_nothing_listens_on_them() -> None:
    ports = free_ports(20)

    assert len(set(ports)) == 20
    assert not any(listens(port) for port in ports)


def test_a_free_block_is_a_run_of_free_ports() -> None:
    first, last = free_block(50)

    assert last - first == 49
    with socket.socket() as server:
        server.bind((HOST, first))
        server.listen()
        assert listens(first)

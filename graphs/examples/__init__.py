"""Example graphs, importable, used by the DAGs, the documentation and the tests."""

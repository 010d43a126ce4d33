"""The graphs of the cases; workers and replicas import them from here."""

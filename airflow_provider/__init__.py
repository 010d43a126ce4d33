"""Airflow's side: submit a graph's work to Ray, follow it without holding a worker, flip versions.

Import what you need from :mod:`airflow_provider.operators` and :mod:`airflow_provider.sensors`.
Nothing here imports ray, torch or pandas: an Airflow worker speaks HTTP to Ray and to the store.
"""

"""Waiting without a worker: for the end of a job, and for a report."""

from airflow_provider.triggers.gate import Gate, look_at_gate
from airflow_provider.triggers.job import RayJobTrigger
from airflow_provider.triggers.report import ReportTrigger
from airflow_provider.triggers.state import task_state

__all__ = ["Gate", "RayJobTrigger", "ReportTrigger", "look_at_gate", "task_state"]

"""Judges what a run put out, from statistics that were gathered while it wrote."""

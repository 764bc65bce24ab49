"""Scores on annotated faces: metrics, reports, conditions, and calibration of detectors."""

"""Probes of frozen encoders: their features by layer, small classifiers on them, and nearest neighbours."""

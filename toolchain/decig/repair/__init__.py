"""Closed-form repair of a sliced graph. No torch."""

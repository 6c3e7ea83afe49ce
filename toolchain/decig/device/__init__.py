"""The machine: sessions, latency, cost tables, prediction, planning. No torch."""

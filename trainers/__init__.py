"""Training and evaluation programs: `python -m trainers.mnist --flagfile=…`."""

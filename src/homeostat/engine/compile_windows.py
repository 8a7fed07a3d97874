"""Compiles the windows' kernel: `python -m homeostat.engine.compile_windows`, beside a first start."""

from homeostat.decide.windows.first_start import make_ready

if __name__ == "__main__":
    make_ready()

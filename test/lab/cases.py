"""A test program of which each run is one case, named on its command line; TAP for meson."""
import sys

# node tests of minutes, and those of ways in which machines start, with the seconds of a processor that each takes: a sample of them is part of
# `make test`, and all of `make soak`
LONG = {"many": 200, "vm": 220, "span": 150, "reproduce": 200, "secureboot": 35, "media": 150, "metal": 60, "netboot": 120, "panic": 60, "disk": 200,
        "recovery": 150, "watch": 240, "seal": 600, "lost": 120, "moved": 80, "broken": 115, "power": 225, "cut": 90, "churn": 40, "hogs": 220}


def run(cases):
    name = sys.argv[1]
    print("1..1")
    try:
        cases[name]()
    except BaseException:
        print(f"not ok 1 - {name}", flush=True)
        raise
    print(f"ok 1 - {name}")

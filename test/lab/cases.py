"""A test program of which each run is one case, named on its command line; TAP for meson."""
import sys

# node tests of minutes, and those of ways in which machines start, with the seconds of a processor that each takes: a sample of them is part of
# `make test`, and all of `make soak`
LONG = {"many": 200, "vm": 220, "span": 165, "relay": 200, "reproduce": 200, "secureboot": 45, "media": 40, "metal": 25, "netboot": 25, "panic": 35, "disk": 350,
        "recovery": 215, "watch": 265, "seal": 780, "lost": 210, "moved": 125, "broken": 105, "power": 500, "cut": 90, "churn": 35, "hogs": 270, "volume": 330, "share": 150}


def run(cases):
    name = sys.argv[1]
    print("1..1")
    try:
        cases[name]()
    except BaseException:
        print(f"not ok 1 - {name}", flush=True)
        raise
    print(f"ok 1 - {name}")

"""A test program of which each run is one case, named on its command line; TAP for meson."""
import sys

# node tests of minutes, and those of ways in which machines start: a sample of them is part of `make test`, and all of `make soak`
LONG = ("many", "vm", "span", "reproduce", "secureboot", "media", "metal", "netboot", "panic", "disk", "recovery", "watch", "seal", "lost", "moved", "broken", "power", "cut", "churn", "hogs")


def run(cases):
    name = sys.argv[1]
    print("1..1")
    try:
        cases[name]()
    except BaseException:
        print(f"not ok 1 - {name}", flush=True)
        raise
    print(f"ok 1 - {name}")

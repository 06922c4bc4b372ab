"""The filter of system calls for containers: Debian's profile, which is in Docker's format, as the OCI runtime wants it.

Docker's format says "with these capabilities", "on these machines"; ours is made for the one set of capabilities that
containers have (src/machine/oci.c) and for amd64, so that nothing is left to decide when a container starts.
"""
import json, re

PROFILE = "/usr/share/containers/seccomp.json"
OCI = "src/machine/oci.c"
KERNEL = (6, 12)
# What Debian's libaio waits with; its profile, which knows an older one, refuses it and lets through the call that it replaces.
ALLOWED = {"io_pgetevents", "io_pgetevents_time64"}
# In Debian's profile for containers in containers. Without CAP_SYS_ADMIN they mean nothing but ways into the kernel.
REFUSED = {"add_key", "bpf", "fsconfig", "fsmount", "fsopen", "fspick", "io_uring_enter", "io_uring_register",
           "io_uring_setup", "keyctl", "mount", "mount_setattr", "move_mount", "name_to_handle_at", "open_tree", "pivot_root",
           "request_key", "setns", "umount", "umount2", "unshare", "userfaultfd"}


def capabilities():
    """What oci.c gives to a container."""
    text = re.search(r"\bcapabilities\[\] = \{(.*?)\}", open(OCI).read(), re.S)[1]
    return set(re.findall(r"CAP_[A-Z_]+", text))


def met(condition, caps, quantor):
    """Whether the condition's capabilities (QUANTOR of them), machine and kernel are ours."""
    kernel = condition.get("minKernel")
    return (quantor(c in caps for c in condition.get("caps", []))
            and ("arches" not in condition or "amd64" in condition["arches"])
            and (not kernel or tuple(map(int, kernel.split(".")[:2])) <= KERNEL))


def applies(source, caps):
    includes, excludes = source.get("includes") or {}, source.get("excludes") or {}
    return met(includes, caps, all) and not (excludes and met(excludes, caps, any if "caps" in excludes else all))


def rule(source, seen):
    """One rule, without the names that an earlier rule has decided in all cases."""
    out = {"action": source["action"]}
    refused = REFUSED if source["action"] == "SCMP_ACT_ALLOW" else set()
    out["names"] = sorted(set(source["names"]) - refused - seen)
    if "errnoRet" in source:
        out["errnoRet"] = source["errnoRet"]
    if source.get("args"):
        out["args"] = [{k: a[k] for k in ("index", "value", "valueTwo", "op")} for a in source["args"]]
    else:
        seen.update(out["names"])
    return out


def profile():
    """The text of linux.seccomp."""
    source, caps, seen = json.load(open(PROFILE)), capabilities(), set()
    sources = [{"names": ALLOWED, "action": "SCMP_ACT_ALLOW"}, *(s for s in source["syscalls"] if applies(s, caps))]
    sources.append({"names": REFUSED, "action": "SCMP_ACT_ERRNO", "errnoRet": 1})
    rules = [rule(s, seen) for s in sources]
    out = {"defaultAction": source["defaultAction"], "defaultErrnoRet": source["defaultErrnoRet"],
           "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], "syscalls": [r for r in rules if r["names"]]}
    return json.dumps(out, sort_keys=True, separators=(",", ":")) + "\n"

"""The workload that the demo and the tests deploy: nginx from Debian's archive, as an OCI image layout.

    oci = workload.build("some text", "build/tmp")    # a directory; tag `latest`

Two layers: nginx with the libraries it needs, made once and kept in build/cache under the digest of its recipe, and a small one with
the page. Runs inside tools/enter.
"""
import fcntl, hashlib, json, os, shutil, subprocess, tarfile, tempfile

CACHE = "build/cache"
SUITE = "trixie"
# -light: the server alone, without the modules that would bring perl, GeoIP and image libraries
PACKAGES = ["nginx-light"]
# What of the packages stays; a list of what goes would miss what the next release brings.
KEEP = ["/usr/sbin/nginx", "/etc/nginx", "/usr/share/nginx", "/etc/mime.types"]
DIRS = ["/var/lib/nginx", "/var/log/nginx", "/var/www/html", "/run", "/tmp", "/etc", "/dev", "/proc", "/sys"]
LINKS = {"/bin": "usr/bin", "/lib": "usr/lib", "/lib64": "usr/lib64", "/sbin": "usr/sbin",
         "/var/run": "/run", "/var/log/nginx/access.log": "/dev/stdout", "/var/log/nginx/error.log": "/dev/stderr"}
FILES = {
    "/etc/passwd": "root:x:0:0:root:/:/none\nwww-data:x:33:33:www-data:/var/www:/none\n",
    "/etc/group": "root:x:0:\nadm:x:4:\nwww-data:x:33:\n",
    "/etc/nginx/nginx.conf": """user www-data;
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr notice;
events { worker_connections 256; }
http {
	include /etc/nginx/mime.types;
	access_log /dev/stdout;
	server {
		listen 80 default_server;
		listen [::]:80 default_server;
		root /var/www/html;
		index index.html;
	}
}
"""}
CONFIG = ["--config.entrypoint", "nginx", "--config.cmd", "-g", "--config.cmd", "daemon off;", "--config.exposedports", "80/tcp",
          "--config.env", "PATH=/usr/sbin:/usr/bin", "--config.stopsignal", "SIGQUIT", "--config.workingdir", "/",
          "--architecture", "amd64", "--os", "linux"]


TOOLS = {"passwd": "app:x:1000:1000::/tmp:/bin/sh\n", "group": "app:x:1000:\nextra:x:2000:app\n"}


def run(*argv, **more):
    done = subprocess.run(argv, capture_output=True, text=True, **more)
    if done.returncode:
        raise RuntimeError(f"{argv[0]} failed with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def recipe():
    """The digest that names the base: of all that goes into it."""
    text = json.dumps([SUITE, PACKAGES, KEEP, DIRS, LINKS, FILES, CONFIG], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def libraries(tree, program):
    """Paths in TREE of what PROGRAM asks for, the loader included."""
    found, todo = set(), [program]
    where = [f"{tree}/usr/lib/x86_64-linux-gnu", f"{tree}/usr/lib/x86_64-linux-gnu/ceph", f"{tree}/usr/lib", f"{tree}/usr/lib64"]
    while todo:
        text = run("readelf", "-dlW", todo.pop())
        names = [line.split("[")[1].split("]")[0] for line in text.splitlines() if "(NEEDED)" in line]
        names += [os.path.basename(line.split(": ")[1].rstrip("]")) for line in text.splitlines() if "program interpreter" in line]
        for name in names:
            path = next((p for p in (f"{w}/{name}" for w in where) if os.path.exists(p)), None)
            if not path:
                raise RuntimeError(f"no library {name} for {program}")
            if path not in found:
                found.add(path)
                todo.append(path)
    return found


def copy(tree, root, path):
    target = root + path.removeprefix(tree)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.copytree(path, target, symlinks=True, dirs_exist_ok=True)
    else:
        shutil.copy2(os.path.realpath(path) if ".so" in path else path, target, follow_symlinks=False)


def fill(tree, root):
    """Copies what stays from the unpacked packages in TREE to ROOT."""
    for path in KEEP:
        if os.path.lexists(tree + path):
            copy(tree, root, tree + path)
    for path in libraries(tree, tree + KEEP[0]):
        copy(tree, root, path)
    loader = "/usr/lib64/ld-linux-x86-64.so.2"
    if not os.path.exists(root + loader):
        os.makedirs(root + "/usr/lib64", exist_ok=True)
        os.symlink("../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", root + loader)
    for path in DIRS:
        os.makedirs(root + path, exist_ok=True)
    os.chmod(root + "/tmp", 0o1777)
    for path, target in LINKS.items():
        if not os.path.lexists(root + path):
            os.symlink(target, root + path)
    for path, text in FILES.items():
        with open(root + path, "w") as f:
            f.write(text)


def make_base(oci):
    """The OCI layout of nginx alone, at OCI."""
    with tempfile.TemporaryDirectory(prefix="zos-workload-") as work:
        os.chmod(work, 0o755)
        run("mmdebstrap", "--variant=extract", "--quiet", "--include=" + ",".join(PACKAGES), SUITE, f"{work}/tree")
        os.mkdir(f"{work}/root")
        fill(f"{work}/tree", f"{work}/root")
        image = f"{work}/oci"
        run("umoci", "init", "--layout", image)
        run("umoci", "new", "--image", f"{image}:latest")
        run("umoci", "config", "--image", f"{image}:latest", *CONFIG)
        run("umoci", "insert", "--image", f"{image}:latest", f"{work}/root", "/")
        run("umoci", "gc", "--layout", image)
        shutil.rmtree(oci + ".new", ignore_errors=True)
        shutil.copytree(image, oci + ".new")
    os.rename(oci + ".new", oci)


def kept(name, make):
    """The path of what MAKE makes at a path, kept under NAME; of two who want it at once one makes it."""
    os.makedirs(CACHE, exist_ok=True)
    path = f"{CACHE}/{name}"
    with open(f"{CACHE}/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            make(path)
    return path


def base():
    """The path of the layout of nginx alone."""
    return kept(f"workload-{recipe()}", make_base)


def build(nonce, into, tools=False):
    """An OCI layout in the directory INTO whose page is NONCE. With TOOLS it has busybox and a user `app` too. Returns its path."""
    oci = f"{into}/workload-{hashlib.sha256(nonce.encode()).hexdigest()[:12]}"
    shutil.rmtree(oci, ignore_errors=True)
    shutil.copytree(base(), oci)
    with tempfile.TemporaryDirectory() as work:
        with open(f"{work}/index.html", "w") as f:
            f.write(nonce + "\n")
        os.chmod(f"{work}/index.html", 0o644)
        run("umoci", "insert", "--image", f"{oci}:latest", f"{work}/index.html", "/var/www/html/index.html")
        if tools:
            run("umoci", "insert", "--image", f"{oci}:latest", "/usr/bin/busybox", "/usr/bin/sh")
            for name, more in TOOLS.items():
                text = FILES.get(f"/etc/{name}", "") + more
                with open(f"{work}/{name}", "w") as f:
                    f.write(text)
                os.chmod(f"{work}/{name}", 0o644)
                run("umoci", "insert", "--image", f"{oci}:latest", f"{work}/{name}", f"/etc/{name}")
    return oci

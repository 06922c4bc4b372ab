"""A network namespace with programs and sockets of ours in it."""
import os, socket, subprocess, threading


class Place:
    def __enter__(self):
        self.holder = subprocess.Popen(["sleep", "100000"], preexec_fn=lambda: os.unshare(os.CLONE_NEWNET))
        self.path = f"/proc/{self.holder.pid}/ns/net"
        self.ip("link", "set", "lo", "up")
        return self

    def __exit__(self, *_):
        self.holder.kill()
        self.holder.wait()

    def words(self, *words):
        return ["nsenter", "-t", str(self.holder.pid), "-n", *words]

    def run(self, *words, **more):
        """Its result; raises where it fails, unless CHECK is false."""
        return subprocess.run(self.words(*words), **{"check": True, "capture_output": True, "text": True, "timeout": 60, **more})

    def ip(self, *words):
        self.run("ip", *words)

    def nft(self, text):
        self.run("nft", "-f", "-", input=text)

    def set(self, name, value):
        self.run("sh", "-c", f"echo {value} > /proc/sys/net/{name}")

    def made(self, make):
        """What MAKE returns, called in it: by a thread, which alone enters it, and ends there."""
        got = []

        def enter():
            with open(self.path) as namespace:
                os.setns(namespace.fileno(), os.CLONE_NEWNET)
            got.append(make())

        maker = threading.Thread(target=enter)
        maker.start()
        maker.join()
        return got[0]

    def socket(self, buffer=4 << 20):
        """Of UDP, with a port."""
        def make():
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.setsockopt(socket.SOL_SOCKET, 33, buffer)  # SO_RCVBUFFORCE
            s.bind(("0.0.0.0", 0))
            return s
        return self.made(make)

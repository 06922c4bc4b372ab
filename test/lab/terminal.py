"""A program as somebody at a terminal sees it."""
import fcntl, os, pty, struct, subprocess, termios, threading


def run(argv, env, columns=80, stdout=None, data=None, seconds=120):
    """Runs ARGV with standard error, and standard output unless STDOUT says otherwise, on a terminal. Returns what subprocess.run() does, and what was shown."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    shown = []
    reader = threading.Thread(target=lambda: shown.extend(iter(lambda: read(master), b"")))
    reader.start()
    try:
        done = subprocess.run(argv, input=data, stdout=slave if stdout is None else stdout, stderr=slave, env=dict(env, TERM="xterm"), timeout=seconds)
    finally:
        os.close(slave)
        reader.join()
        os.close(master)
    return done, b"".join(shown).decode().replace("\r\n", "\n")


def read(master):
    try:
        return os.read(master, 1 << 16)
    except OSError:  # nobody has its other end any more
        return b""

"""What passes between a machine and its TPM, as swtpm's log has it: who listens on the bus hears just that. Numbers: TPM 2.0, part 2."""
import re

PCR_EXTEND, CREATE, UNSEAL, START_AUTH_SESSION = 0x182, 0x153, 0x15e, 0x176
NO_KEY, PASSWORD = 0x40000007, 0x40000009  # handles: a session without a salt; an authorisation that is no session
DECRYPT, ENCRYPT = 1 << 5, 1 << 6          # attributes: what is told to the TPM, or its answer, is encrypted
HANDLES = {PCR_EXTEND: 1, CREATE: 1, UNSEAL: 1, START_AUTH_SESSION: 2}


class Command:
    def __init__(self, data):
        self.has_sessions, self.code = data[:2] == b"\x80\x02", int.from_bytes(data[6:10])
        self.handles = [int.from_bytes(data[at:at + 4]) for at in range(10, 10 + 4 * HANDLES.get(self.code, 0), 4)]
        self.sessions = list(self.sessions_of(data[10 + 4 * len(self.handles):])) if self.has_sessions and self.handles else []

    @staticmethod
    def sessions_of(data):
        """(handle, attributes) of each: the size of all of them, then handle, nonce, attributes and code of each."""
        rest = data[4:4 + int.from_bytes(data[:4])]
        while rest:
            nonce = int.from_bytes(rest[4:6])
            yield int.from_bytes(rest[:4]), rest[6 + nonce]
            rest = rest[9 + nonce + int.from_bytes(rest[7 + nonce:9 + nonce]):]

    def hides(self, attribute):
        return any(handle != PASSWORD and attributes & attribute for handle, attributes in self.sessions)


def commands(log):
    """Those that the log in the file LOG has, in their order."""
    text = open(log).read()
    blocks = re.findall(r"SWTPM_IO_Read: length \d+\s*\n((?: *(?:[0-9A-F]{2} ?)+\n)+)", text, re.I)
    return [Command(bytes.fromhex(block)) for block in blocks]

"""Asks a node of a cluster for all states that it knows: a shadow round, in the standard library of Python alone.

It is written from docs/protocol, and names the page for each part. It leaves no trace: no other node hears of it.

    shadow_round.py NODE_HOST:PORT OWN_HOST:PORT CLUSTER [PARTITIONER]

The node dials OWN_HOST:PORT to answer. Port 0 takes a free port.
"""

import socket
import struct
import sys
import threading
import time
import zlib

MAGIC = bytes.fromhex("ca552dfa")
SYN, ACK = 14, 15
VERSION = 12
MURMUR3 = "org.apache.cassandra.dht.Murmur3Partitioner"
TOKENS = 13


# primitives.md


def crc32(data):
    return zlib.crc32(b"\xfa\x2d\x55\xca" + data)


def crc24(header):
    register = 0x875060
    for byte in header:
        register ^= byte << 16
        for _ in range(8):
            register <<= 1
            if register & 1 << 24:
                register ^= 0x1974F0B
    return register


def utf(text):
    data = text.encode("ascii")
    return struct.pack(">H", len(data)) + data


def uvint(value):
    """Unsigned, up to 2^56: as many leading ones in the first byte as bytes follow it."""
    extra = 0
    while value >= 1 << 7 * (extra + 1):
        extra += 1
    body = bytearray(value.to_bytes(extra + 1, "big"))
    body[0] |= 0xFF00 >> extra & 0xFF
    return bytes(body)


def addr(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    ip = socket.inet_pton(family, host)
    return bytes([len(ip) + 2]) + ip + struct.pack(">H", port)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise EOFError("a field ends behind its message")
        self.at += count
        return self.data[self.at - count : self.at]

    def i32(self):
        return struct.unpack(">i", self.take(4))[0]

    def u16(self):
        return struct.unpack(">H", self.take(2))[0]

    def uvint(self):
        first = self.take(1)[0]
        extra = 8 - (first ^ 0xFF).bit_length()
        value = first & 0x7F >> extra if extra < 8 else 0
        for byte in self.take(extra):
            value = value << 8 | byte
        return value

    def utf(self):
        """Modified UTF-8: a zero is two bytes, a character above U+FFFF two surrogates of three bytes."""
        text = self.take(self.u16()).replace(b"\xc0\x80", b"\0").decode("utf-8", "surrogatepass")
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def addr(self):
        size = self.take(1)[0]
        family = {6: socket.AF_INET, 18: socket.AF_INET6}[size]
        return socket.inet_ntop(family, self.take(size - 2)), self.u16()


def exactly(sock, count):
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise EOFError("the node has closed the connection")
        data += piece
    return data


def checked(data, crc):
    if crc32(data) != int.from_bytes(crc, "big"):
        raise ValueError("a checksum is wrong")
    return data


# handshake.md


def initiate(own):
    # Urgent messages, framing CRC; we accept version 12 alone.
    body = MAGIC + bytes([VERSION, VERSION, VERSION, 1 | 1 << 4]) + addr(*own)
    return body + struct.pack(">I", crc32(body))


def accept():
    body = struct.pack(">II", VERSION, VERSION)
    return body + struct.pack(">I", crc32(body))


def read_initiate(sock):
    """Returns whether the frames of the dialler have checksums."""
    head = exactly(sock, 9)
    rest = exactly(sock, head[8] + 4)
    checked(head + rest[:-4], rest[-4:])
    if head[:4] != MAGIC:
        raise ValueError("no handshake of Cassandra 4.0 or later")
    flags = head[7]
    framing = flags >> 2 & 1 | (flags >> 4 & 1) << 1
    if framing == 1:
        raise ValueError("LZ4 is left out here; see framing.md")
    return framing == 2


# framing.md


def frame(payload):
    header = (len(payload) | 1 << 17).to_bytes(3, "little")
    return header + crc24(header).to_bytes(3, "little") + payload + crc32(payload).to_bytes(4, "little")


def read_frame(sock, has_checksum):
    header = exactly(sock, 3)
    if crc24(header) != int.from_bytes(exactly(sock, 3), "little"):
        raise ValueError("the checksum of a header is wrong")
    bits = int.from_bytes(header, "little")
    payload = exactly(sock, bits & 0x1FFFF)
    if has_checksum:
        checked(payload, exactly(sock, 4)[::-1])
    return bits >> 17 & 1, payload


# message-header.md


def message(number, verb, body):
    created = int(time.time() * 1000) & 0xFFFFFFFF
    lifetime = 300_000
    return (
        uvint(number) + struct.pack(">I", created) + uvint(lifetime) + uvint(verb)
        + uvint(0) + uvint(0) + uvint(len(body)) + body
    )


def read_header(reader):
    """Returns verb and size of the body."""
    reader.uvint()  # id
    reader.i32()  # creation time
    reader.uvint()  # life time
    verb = reader.uvint()
    reader.uvint()  # flags
    for _ in range(reader.uvint()):
        reader.uvint()
        reader.take(reader.uvint())
    return verb, reader.uvint()


def messages(sock, has_checksum):
    """Verb and body of each message of a connection."""
    pieces = b""
    while True:
        is_whole, payload = read_frame(sock, has_checksum)
        if not is_whole:
            # A large message: its pieces have frames of their own.
            pieces += payload
            reader = Reader(pieces)
            _, size = read_header(reader)
            if len(pieces) < reader.at + size:
                continue
            payload, pieces = pieces, b""
        reader = Reader(payload)
        while reader.at < len(payload):
            verb, size = read_header(reader)
            yield verb, reader.take(size)


# gossip-messages.md


def shadow_syn(cluster, partitioner):
    return utf(cluster) + utf(partitioner) + struct.pack(">i", 0)


def read_ack(body):
    """Returns by endpoint: generation, version, and the values by number."""
    reader = Reader(body)
    for _ in range(reader.i32()):  # requests
        reader.addr(), reader.i32(), reader.i32()
    states = {}
    for _ in range(reader.i32()):
        endpoint = reader.addr()
        generation, version, values = reader.i32(), reader.i32(), {}
        for _ in range(reader.i32()):
            key = reader.i32()
            values[key] = reader.utf(), reader.i32()
        states[endpoint] = generation, version, values
    if reader.at != len(body):
        raise ValueError("bytes follow the last state")
    return states


# exchange.md


def answer(sock, answers, done):
    """Takes a connection of the node, and keeps the states of its ACK."""
    try:
        has_checksum = read_initiate(sock)
        sock.sendall(accept())
        for verb, body in messages(sock, has_checksum):
            if verb == ACK:
                answers.append(read_ack(body))
                done.set()
    except (EOFError, OSError, ValueError) as error:
        print("the connection of the node ended:", error, file=sys.stderr)


def ask(node, own, cluster, partitioner):
    answers, done = [], threading.Event()
    family = socket.AF_INET6 if ":" in own[0] else socket.AF_INET
    listener = socket.create_server(own, family=family)
    own = listener.getsockname()[:2]

    def listen():
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=answer, args=(sock, answers, done), daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    sock = socket.create_connection(node)
    sock.sendall(initiate(own))
    reply = exactly(sock, 12)
    checked(reply[:8], reply[8:])
    for number in range(1, 13):
        sock.sendall(frame(message(number, SYN, shadow_syn(cluster, partitioner))))
        # An empty answer means that the node is starting itself.
        if done.wait(5) and answers[-1]:
            return answers[-1]
        done.clear()
    sys.exit("no answer: the node may have another cluster name or partitioner")


def place(text):
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    node, own, cluster = place(sys.argv[1]), place(sys.argv[2]), sys.argv[3]
    partitioner = sys.argv[4] if len(sys.argv) == 5 else MURMUR3
    for (host, port), (generation, version, values) in ask(node, own, cluster, partitioner).items():
        print(f"{host}:{port} generation {generation} version {version}")
        for key, (text, of) in sorted(values.items()):
            print(f"  {key}:{of}:{'<hidden>' if key == TOKENS else text}")


main()

"""Files of `store file`, written and read from their description in firmware/store/store_file.c, apart from its code."""
import struct

MASK = (1 << 64) - 1
CHECK_KEY = (0x706f737465726e31, 0x73746f7265)


def siphash13(key, data):
    v0, v1 = key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d
    v2, v3 = key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573
    tail = len(data) % 8
    words = list(struct.unpack('<%dQ' % (len(data) // 8), data[:len(data) - tail]))
    words.append((len(data) & 255) << 56 | int.from_bytes(data[len(data) - tail:], 'little'))
    for index, word in enumerate(words + [None]):
        rounds = 1
        if word is None:
            v2 ^= 0xff
            rounds = 3
        else:
            v3 ^= word
        for _ in range(rounds):
            v0 = (v0 + v1) & MASK
            v2 = (v2 + v3) & MASK
            v1 = ((v1 << 13) & MASK | v1 >> 51) ^ v0
            v3 = ((v3 << 16) & MASK | v3 >> 48) ^ v2
            v0 = (v0 << 32) & MASK | v0 >> 32
            v2 = (v2 + v1) & MASK
            v0 = (v0 + v3) & MASK
            v1 = ((v1 << 17) & MASK | v1 >> 47) ^ v2
            v3 = ((v3 << 21) & MASK | v3 >> 43) ^ v0
            v2 = (v2 << 32) & MASK | v2 >> 32
        if word is not None:
            v0 ^= word
    return v0 ^ v1 ^ v2 ^ v3


def encode(entries, key=(1, 2), now_s=1000, wall_s=0):
    """`entries`: (key, value, put_s, end_s)."""
    text = b'postern1' + struct.pack('<QQQQ', *key, now_s, wall_s)
    text += b''.join(struct.pack('<QQII', *entry) for entry in entries)
    text += struct.pack('<Q', len(entries))
    return text + struct.pack('<Q', siphash13(CHECK_KEY, text))


def decode(text):
    """(now_s, wall_s, entries) of a whole file; ValueError if it is not one."""
    count, check = struct.unpack('<QQ', text[-16:])
    if text[:8] != b'postern1' or len(text) != 56 + 24 * count or \
            siphash13(CHECK_KEY, text[:-8]) != check:
        raise ValueError('no state file')
    now_s, wall_s = struct.unpack('<QQ', text[24:40])
    return now_s, wall_s, [struct.unpack('<QQII', text[at:at + 24])
                           for at in range(40, len(text) - 16, 24)]

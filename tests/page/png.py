"""The colours of a screenshot, read by what Python has itself."""

import struct
import zlib


class Picture:
    """A PNG of 8 bits a channel, not interlaced, as browsers write it."""

    def __init__(self, data):
        chunks, at = {}, 8
        while at < len(data):
            size, kind = struct.unpack(">I4s", data[at : at + 8])
            chunks[kind] = chunks.get(kind, b"") + data[at + 8 : at + 8 + size]
            at += size + 12
        self.width, self.height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
        self.channels = {2: 3, 6: 4}[colour]
        if (depth, interlaced) != (8, 0):
            raise SystemExit(f"FAILED: a screenshot of {depth} bits, interlaced {interlaced}")
        self.raw, self.rows = zlib.decompress(chunks[b"IDAT"]), []

    def _read_to(self, last):
        """Each row is told by the one above: no more of them are read than are looked at."""
        raw, step, size = self.raw, self.channels, self.width * self.channels
        before = self.rows[-1] if self.rows else bytearray(size)
        for y in range(len(self.rows), last + 1):
            kind, row = raw[y * (size + 1)], bytearray(raw[y * (size + 1) + 1 : (y + 1) * (size + 1)])
            if kind:
                for i in range(size):
                    left, up, corner = (row[i - step] if i >= step else 0), before[i], (before[i - step] if i >= step else 0)
                    if kind == 1:
                        guess = left
                    elif kind == 2:
                        guess = up
                    elif kind == 3:
                        guess = (left + up) // 2
                    else:
                        far = left + up - corner
                        guess = min((abs(far - left), 0, left), (abs(far - up), 1, up), (abs(far - corner), 2, corner))[2]
                    row[i] = (row[i] + guess) & 255
            self.rows.append(row)
            before = row

    def colour(self, x, y):
        self._read_to(int(y))
        at = int(x) * self.channels
        return tuple(self.rows[int(y)][at : at + 3])

"""Runs the same work with other libraries:

    peer.py WORK PEER REPEAT FILE...

Prints "time SECONDS" for each repetition, and "result N"
(hexadecimal) to compare with others. Prints "absent REASON" if the peer cannot do the work.
"""

import array
import sys
import time


class Absent(Exception):
    pass


def load(name):
    try:
        return __import__(name)
    except ImportError:
        raise Absent(name + " is not installed")


class Kdumpfile:
    """libkdumpfile, through its own Python module."""

    def __init__(self, path):
        self.module = load("kdumpfile")
        self.dump = self.module.kdumpfile(file=path)
        self.space = self.module.KDUMP_MACHPHYSADDR

    def read(self, address, size):
        return self.dump.read(self.space, address, size)

    def use_virtual(self):
        self.dump.attr["addrxlat.ostype"] = "linux"
        self.space = self.module.KDUMP_KVADDR

    def translated(self, addresses):
        """The exclusive-or of the physical addresses that it can translate."""
        addrxlat = load("addrxlat")
        context, system = self.dump.get_addrxlat_ctx(), self.dump.get_addrxlat_sys()
        total = 0
        for address in addresses:
            full = addrxlat.FullAddress(addrxlat.KVADDR, address)
            try:
                full.conv(addrxlat.MACHPHYSADDR, context, system)
                total ^= full.addr
            except SystemError:  # its module raises this for any failure
                pass
        return total

    def u64s(self, addresses):
        read, space, total = self.dump.read, self.space, 0
        from_bytes = int.from_bytes
        for address in addresses:
            total ^= from_bytes(read(space, address, 8), "little")
        return total


class Drgn:
    def __init__(self, path):
        self.module = load("drgn")
        self.program = self.module.Program()
        self.program.set_core_dump(path)


PEERS = {"libkdumpfile": Kdumpfile, "drgn": Drgn}


def numbers(path):
    result = array.array("Q")
    with open(path, "rb") as file:
        result.frombytes(file.read())
    return result.tolist()


def work_u64(peer, addresses):
    values = numbers(addresses)
    return lambda: peer.u64s(values)


def work_virtual(peer, addresses):
    peer.use_virtual()
    return work_u64(peer, addresses)


def work_translate(peer, addresses):
    peer.use_virtual()
    values = numbers(addresses)
    return lambda: peer.translated(values)


def work_array(peer, address, count):
    address, count = int(address, 0), int(count)

    def run():
        values = array.array("Q")
        values.frombytes(peer.read(address, 8 * count))
        return values.tolist()[-1]

    return run


def work_members(peer, vmlinux):
    peer.program.load_debug_info([vmlinux])
    task = peer.program["init_task"]
    return lambda: sum(len(task.comm.string_()) for _ in range(100000))


def work_symbols(peer, addresses, vmlinux):
    peer.program.load_debug_info([vmlinux])
    values = numbers(addresses)
    return lambda: sum(len(peer.program.symbol(value).name) for value in values)


def main(work, name, repeat, path, *arguments):
    try:
        run = globals()["work_" + work](PEERS[name](path), *arguments)
        for _ in range(int(repeat)):
            start = time.perf_counter()
            result = run()
            print("time %.9f" % (time.perf_counter() - start))
        print("result %x" % (result & 0xFFFFFFFFFFFFFFFF))
    except Absent as reason:
        print("absent", reason)
        return 1
    except Exception as problem:
        print("absent", "%s: %s" % (type(problem).__name__, problem))
        return 1
    return 0


sys.exit(main(*sys.argv[1:]))

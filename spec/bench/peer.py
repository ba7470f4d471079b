"""Runs the same work with other libraries:

    peer.py WORK PEER REPEAT FILE...

Prints "time SECONDS" for each repetition, and "result N"
(hexadecimal) to compare with others. Prints "absent REASON" if the peer cannot do the work.
"""

import array
import struct
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

    def __init__(self):
        self.module = load("kdumpfile")

    def open(self, path):
        self.dump = self.module.kdumpfile(file=path)
        self.space = self.module.KDUMP_MACHPHYSADDR

    def list(self, path):
        """The ranges in its page map, since it has no segments."""
        self.open(path)
        pages = self.dump.attr["memory.pagemap"]
        ranges, start = 0, 0
        while True:
            try:
                start = pages.find_set(start)
            except Exception:
                break
            ranges += 1
            try:
                start = pages.find_clear(start)
            except Exception:
                break
        count = 0
        for cpu in self.dump.attr["cpu"].values():
            if isinstance(cpu, self.module.attr_dir):  # others are totals
                count += sum(1 for _ in cpu["reg"].items())
        return count

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
    def __init__(self):
        self.module = load("drgn")

    def open(self, path):
        self.program = self.module.Program()
        self.program.set_core_dump(path)

    def list(self, path):
        """Only opens the dump: registers would need the kernel's debug information."""
        self.open(path)
        return 0

    physical = True

    def use_virtual(self):
        self.physical = False

    def read(self, address, size):
        return self.program.read(address, size, True)

    def u64s(self, addresses):
        read, physical, total = self.program.read_u64, self.physical, 0
        for address in addresses:
            total ^= read(address, physical)
        return total

    def find(self, pattern):
        if not hasattr(self.program, "search_memory"):
            version = self.module.__version__
            raise Absent("drgn %s has no search_memory" % version)
        return sum(1 for _ in self.program.search_memory(pattern))


class Pyelftools:
    def __init__(self):
        load("elftools")
        from elftools.elf import elffile

        self.elffile = elffile

    def list(self, path):
        registers = 0
        with open(path, "rb") as file:
            for segment in self.elffile.ELFFile(file).iter_segments():
                if segment["p_type"] != "PT_NOTE":
                    continue
                for note in segment.iter_notes():
                    if note["n_name"] == "CORE":
                        data = note["n_descdata"]
                        registers += len(struct.unpack_from("<27Q", data, 112))
        return registers


PEERS = {"libkdumpfile": Kdumpfile, "drgn": Drgn, "pyelftools": Pyelftools}


def numbers(path):
    result = array.array("Q")
    with open(path, "rb") as file:
        result.frombytes(file.read())
    return result.tolist()


def work_list(peer, path):
    return lambda: peer.list(path)


def work_random(peer, path, addresses):
    peer.open(path)
    values = numbers(addresses)
    return lambda: peer.u64s(values)


def work_virtual(peer, path, addresses):
    peer.open(path)
    peer.use_virtual()
    values = numbers(addresses)
    return lambda: peer.u64s(values)


def work_translate(peer, path, addresses):
    peer.open(path)
    peer.use_virtual()
    values = numbers(addresses)
    return lambda: peer.translated(values)


def work_unpack(peer, path, address, count):
    peer.open(path)
    address, count = int(address, 0), int(count)
    form = "<%dQ" % count
    return lambda: struct.unpack(form, peer.read(address, 8 * count))[-1]


def work_array(peer, path, address, count):
    peer.open(path)
    address, count = int(address, 0), int(count)

    def run():
        values = array.array("Q")
        values.frombytes(peer.read(address, 8 * count))
        return values.tolist()[-1]

    return run


def work_find(peer, path, pattern):
    peer.open(path)
    return lambda: peer.find(pattern.encode())


def work_members(peer, path, vmlinux):
    peer.open(path)
    peer.program.load_debug_info([vmlinux])
    task = peer.program["init_task"]

    def run():
        length = 0
        for _ in range(100000):
            length += len(task.comm.string_())
        return length

    return run


def main(work, name, repeat, *arguments):
    try:
        run = globals()["work_" + work](PEERS[name](), *arguments)
        for _ in range(int(repeat)):
            start = time.perf_counter()
            result = run()
            print("time %.9f" % (time.perf_counter() - start))
        print("result %x" % result)
    except Absent as reason:
        print("absent", reason)
        return 1
    except Exception as problem:
        print("absent", "%s: %s" % (type(problem).__name__, problem))
        return 1
    return 0


sys.exit(main(*sys.argv[1:]))

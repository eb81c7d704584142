"""The log that support/watch_io/ writes: reading it, doing it again, and what a disk holds when the power goes at any point of it."""
import collections
import mmap
import os
import pathlib
import random
import struct

HEADER = struct.Struct("<4scxHIIQQ")
BEGIN = b"KLUIS IO BEGINS\n"
SECTOR = 512

Record = collections.namedtuple("Record", "at op path number data thread time")


class Watch:
    """The environment of a watched process, its log, and the counter shared with it."""

    def __init__(self, root, folder):
        self.root, self.folder = pathlib.Path(root).resolve(), pathlib.Path(folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log, self.control = self.folder / "io.log", self.folder / "io.control"
        self.control.write_bytes(bytes(24))

    FAIL = 2  # in the place of after: that change fails

    def environment(self, kill_at=0, after=False, log=True):
        more = {"KLUIS_IO_LOG": str(self.log)} if log else {}
        self.control.write_bytes(struct.pack("=QQQ", 0, kill_at, int(after)))
        return {"LD_PRELOAD": os.environ["KLUIS_WATCH_IO"], "KLUIS_IO_ROOT": str(self.root),
                "KLUIS_IO_CONTROL": str(self.control), **more}

    def count(self):
        return struct.unpack("=Q", self.control.read_bytes()[:8])[0]

    def end_in(self, changes, after=False):
        """The process that runs ends itself so many changes from now."""
        with open(self.control, "r+b") as file, mmap.mmap(file.fileno(), 24) as shared:
            now = struct.unpack("=Q", shared[:8])[0]
            shared[16:24] = struct.pack("=Q", int(after))
            shared[8:16] = struct.pack("=Q", now + changes)

    def size(self):
        return self.log.stat().st_size if self.log.exists() else 0


def records(path, end=None):
    """All records, in order. One that a kill cut short is passed over."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as log:
            at, size = 0, len(log) if end is None else min(end, len(log))
            while at + HEADER.size <= size:
                magic, op, path_bytes, thread, data_bytes, time, number = HEADER.unpack_from(log, at)
                past = at + HEADER.size + path_bytes + data_bytes
                if magic != b"KLIO" or past > size or log.find(BEGIN, at + HEADER.size, past) > at + HEADER.size:
                    mark = log.find(BEGIN, at + 1)
                    if mark < 0:
                        return
                    at = mark - HEADER.size
                    continue
                name = log[at + HEADER.size:at + HEADER.size + path_bytes].decode()
                yield Record(at, op.decode(), name, number, log[at + HEADER.size + path_bytes:past], thread, time)
                at = past


# ---- the same again ------------------------------------------------------------------------------------------------------------------

def change(content, kind, number, data):
    """One change of a file's bytes."""
    if kind == "T":
        if number < len(content):
            del content[number:]
        else:
            content.extend(bytes(number - len(content)))
        return
    if number > len(content):
        content.extend(bytes(number - len(content)))
    content[number:number + len(data)] = data


def folder_move(files, path, to):
    """A file, or all that lie in a folder, get other names."""
    for name in [name for name in files if name == path or name.startswith(path + "/")]:
        files[to + name[len(path):]] = files.pop(name)


def read_folder(root):
    root = pathlib.Path(root).resolve()
    return {str(path): bytearray(path.read_bytes()) for path in root.rglob("*") if path.is_file() and not path.is_symlink()}


def replay(log, files=None):
    """The files as the log leaves them, by path; files: as they were before (changed in place). What cannot be known comes second."""
    files, unseen = {} if files is None else files, []
    for record in records(log):
        if record.op in "WT":
            if record.path in files or not record.path.endswith(" (deleted)"):
                change(files.setdefault(record.path, bytearray()), record.op, record.number, record.data)
        elif record.op == "O":
            if record.number == 1 and record.path in files:
                del files[record.path][:]
            files.setdefault(record.path, bytearray())
        elif record.op == "R":
            folder_move(files, record.path, record.data.decode())
        elif record.op == "L":
            files[record.data.decode()] = files[record.path]
        elif record.op == "U":
            files.pop(record.path, None)
        elif record.op == "M":
            unseen.append(record)
    return files, unseen


# ---- the power goes ------------------------------------------------------------------------------------------------------------------

class Inode:
    def __init__(self, content=b""):
        self.durable, self.pending = bytearray(content), []


class Disk:
    """What is on the disk for sure, and what may be, after each record.

    A sync makes durable what was written to that file before it began. strict: names are durable only when their folder was synced;
    otherwise as on ext4, where a sync of anything takes along all names that were changed before. Names change in order, as with any journal.
    """

    def __init__(self, root, strict=False):
        self.strict = strict
        self.durable = {path: Inode(content) for path, content in read_folder(root).items()}
        self.now = dict(self.durable)
        self.names = []  # changes of names not durable yet: (kind, path, other path, inode)
        self.syncs = {}  # thread: what its sync covers

    def take(self, record):
        op, path = record.op, record.path
        if op in "WT":
            inode = self.now.get(path)
            if inode is None and not path.endswith(" (deleted)"):
                inode = self.now[path] = Inode()
                self.names.append(("O", path, "", inode))
            if inode is not None:
                inode.pending.append((op, record.number, record.data))
        elif op == "O":
            if path not in self.now:
                self.now[path] = Inode()
                self.names.append(("O", path, "", self.now[path]))
            elif record.number == 1:
                self.now[path].pending.append(("T", 0, b""))
        elif op in "RL":
            other = record.data.decode()
            self.names.append((op, path, other, self.now.get(path)))
            name_change(self.now, self.names[-1])
        elif op == "U":
            self.names.append((op, path, "", self.now.pop(path, None)))
        elif op == "D":
            self.names.append((op, path, "", None))
        elif op == "B":
            inode = self.now.get(path)
            self.syncs[record.thread] = (inode, list(inode.pending) if inode else [], list(self.names), path)
        elif op == "F":
            self.synced(*self.syncs.pop(record.thread), everything=record.number == 1)

    def synced(self, inode, writes, names, path, everything):
        if everything:
            for one in set(self.now.values()) - {None}:
                self.settle(one, list(one.pending))
        elif inode is not None:
            self.settle(inode, writes)
        for one in names:
            folders = {os.path.dirname(one[1]), os.path.dirname(one[2])}
            if one in self.names and (not self.strict or everything or path in folders):
                self.names.remove(one)
                name_change(self.durable, one)

    @staticmethod
    def settle(inode, writes):
        """Another thread's sync may have made some of them durable already."""
        for one in writes:
            if one in inode.pending:
                inode.pending.remove(one)
                change(inode.durable, *one)

    def cut(self, chance):
        """The files (None: a folder) after a power cut here: what is durable, and of the rest whatever chance gives."""
        names, files = dict(self.durable), {}
        for one in self.names[:chance.randint(0, len(self.names))]:
            name_change(names, one)
        for path, inode in names.items():
            if inode is None:
                files[path] = None
                continue
            content = bytearray(inode.durable)
            for one in some_of(inode.pending, chance):
                change(content, *one)
            files[path] = content
        return files


def name_change(names, one):
    kind, path, other, inode = one
    if kind == "R":
        folder_move(names, path, other)
    if kind == "U":
        names.pop(path, None)
    if kind == "L":
        names[other] = inode
    if kind == "O":
        names[path] = inode
    if kind == "D":
        names[path] = None


def some_of(pending, chance):
    """Nothing, all, the first ones, or single sectors of what was written and not synced."""
    kind = chance.choice(("none", "all", "first", "sectors"))
    if kind == "none" or not pending:
        return []
    if kind == "all":
        return pending
    if kind == "first":
        return pending[:chance.randint(0, len(pending))]
    pieces = []
    for op, number, data in pending:
        if op == "T":
            pieces += [(op, number, data)] if chance.random() < 0.5 else []
            continue
        at = 0
        while at < len(data):
            step = min(SECTOR - (number + at) % SECTOR, len(data) - at)
            if chance.random() < 0.7:
                pieces.append((op, number + at, data[at:at + step]))
            at += step
    return pieces


def write_files(files, root, to):
    """Put the files of a folder down in another place: for their owner alone, as kluisd makes its root files."""
    root, to = pathlib.Path(root).resolve(), pathlib.Path(to)
    for path, content in files.items():
        place = to / pathlib.Path(path).relative_to(root)
        (place if content is None else place.parent).mkdir(parents=True, exist_ok=True)
        if content is not None:
            place.write_bytes(content)
            place.chmod(0o600)


def seed_of_run():
    """KLUIS_SEED, or a fresh one; printed."""
    seed = int(os.environ.get("KLUIS_SEED", random.randrange(1 << 30)))
    print(f"seed {seed} (KLUIS_SEED repeats it)", flush=True)
    return seed

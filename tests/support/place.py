"""A vault whose files lie in one folder, so that it can be copied, watched and put on a file system of its own."""
import pathlib

from kluis import Vault, run


class Place(Vault):
    """A vault whose files lie in one folder, and what is not the vault's beside it."""

    all = []  # of this process

    def __init__(self, folder, tools):
        Place.all.append(self)
        super().__init__(init=False, name=str(folder))
        self.tls, self.credentials = tools / "tls", tools
        self.log_path = pathlib.Path(f"{folder}.log")
        self.common = ["--data", str(self.folder / "data"), "--custodian", f"file:{self.folder}/root/root.key", "--accept-f0",
                       "--allow-unlocked-memory"]
        self.flags = []

    def make(self):
        (self.folder / "root").mkdir(parents=True)
        run(self.program, "init", *self.common, "--country", "IE", "--credentials-dir", self.credentials,
            env=self.environment)

    def launch(self, environment):
        """Start with that environment; False: it has ended before it could listen."""
        self.environment = environment
        said = self.start(may_fail=True)
        return said is self

    def app(self):
        return self.client(self.token("app"))

    @classmethod
    def kill_all(cls):
        """A process of a pool ends without what atexit holds."""
        for place in cls.all:
            place.kill()
        cls.all = []



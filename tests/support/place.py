"""A vault whose files lie in one folder, so that it can be copied, watched and put on a file system of its own."""
import pathlib
import time

from kluis import Vault, run
from people import want

JOB_TIMEOUT_S = 120


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
        self.flags = ["--threads", "16", "--reserve-mib", "128"]  # it is started thousands of times

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

    job_timeout_s = JOB_TIMEOUT_S

    def job(self, what, body, tenant=None, wait=True):
        """Begin a long work ("keys/rotations", "keys/sweeps", "backups") and wait until it is done; None: one is under way already."""
        operator = self.operator(tenant)
        begun = operator.post(f"/v1/{what}", body, validate=False)
        if begun.status == 409:
            return None
        state = begun.json() if begun.status == 200 else want(202, begun).json()
        deadline = time.monotonic() + self.job_timeout_s
        while wait and state["state"] == "running" and time.monotonic() < deadline:
            time.sleep(0.01)
            state = want(200, operator.get(f"/v1/{what}/{state['id']}", validate=False)).json()
        assert not wait or state["state"] == "done", f"{what}: {state}"
        return state

    def restore(self, *arguments, expect=0):
        """kluisd restore, in the environment of the server."""
        return run(self.program, "restore", *self.common, *arguments, env=self.environment, expect=expect)

    @classmethod
    def kill_all(cls):
        """A process of a pool ends without what atexit holds."""
        for place in cls.all:
            place.kill()
        cls.all = []



"""Clients that read, write and erase all the time, whatever becomes of the server, and remember what they were told.

Each has people of its own. What is checked at the end: nothing was shown without its entry in the trail, all that was acknowledged is there,
whoever was erased is gone.
"""
import random
import threading
import time

import people
from kluis import Client, check

PAUSE_S = 0.01
READ = "purpose=service&fields=person.name"
LATER = ("storage_low", "stopping", "audit_unavailable")  # 503: nothing was shown or changed


class One:
    """A person: the names they may have by now; erased: True, False, or None when nobody told."""

    def __init__(self, subject, record, name):
        self.subject, self.record, self.names, self.version, self.erased = subject, record, {name}, 1, False


class Worker(threading.Thread):
    def __init__(self, clients, number):
        super().__init__(daemon=True)
        self.clients, self.number, self.count = clients, number, 0
        self.chance = random.Random(f"{clients.seed}/{number}")
        self.client = Client(clients.place, clients.token)
        self.people, self.shown = [], []
        self.told = {}  # how often each code, by what was asked

    def send(self, what, method, target, body=None, headers=None):
        """The answer; None: the server is gone, or did nothing."""
        self.count += 1
        request = f"c{self.number}-{self.count}"
        try:
            answer = self.client.send(method, target, body, headers={"X-Request-Id": request, **(headers or {})}, validate=False)
        except people.GONE:
            self.client.close()
            self.told[what, "gone"] = self.told.get((what, "gone"), 0) + 1
            return None, request
        code = answer.json()["code"] if answer.status >= 400 else answer.status
        self.told[what, code] = self.told.get((what, code), 0) + 1
        return answer, request

    def odd(self, what, answer):
        self.clients.odd.append(f"{what}: {answer.request}: {answer.status} {answer.body[:300]}")

    def later(self, what, answer):
        """Whether it is to be asked again; an erasure never is for want of room."""
        if answer is None:
            time.sleep(PAUSE_S)
            return True
        if answer.status == 503 and answer.json()["code"] in LATER and not (what == "erase" and answer.json()["code"] == "storage_low"):
            if "retry-after" not in answer.headers:
                self.odd(what, answer)
            time.sleep(PAUSE_S)
            return True
        return False

    # ---- what is asked ----

    def create(self):
        name = f"Kanarie {self.number} {self.count}"
        answer, _ = self.send("create", "POST", "/v1/subjects", {"records": [{"type": "person", "fields": {"name": name}}]})
        if not self.later("create", answer):
            if answer.status != 201:
                self.odd("create", answer)
            else:
                self.people.append(One(answer["id"], answer["records"][0]["id"], name))

    def read(self, one):
        answer, request = self.send("read", "GET", f"/v1/subjects/{one.subject}?{READ}")
        if self.later("read", answer):
            return
        if answer.status == 404 and one.erased is None:
            one.erased = True
        elif answer.status != 200 or answer["records"][0]["fields"]["name"] not in one.names:
            self.odd(f"read {one.names}", answer)
        else:
            self.shown.append(request)

    def patch(self, one):
        name = f"Kanarie {self.number} {self.count} anew"
        answer, _ = self.send("patch", "PATCH", f"/v1/subjects/{one.subject}/records/{one.record}", {"fields": {"name": name}},
                              {"If-Match": f'"{one.version}"'})
        if answer is None:
            one.names.add(name)
            one.erased = None if one.erased is None else one.erased
            one.version = None  # not known any more
        elif not self.later("patch", answer):
            if answer.status != 200:
                self.odd("patch", answer)
            else:
                one.names, one.version = {name}, one.version + 1

    def erase(self, one):
        answer, _ = self.send("erase", "DELETE", f"/v1/subjects/{one.subject}")
        if answer is None:
            one.erased = None
        if self.later("erase", answer):
            return
        if answer.status == 200 or (answer.status == 404 and one.erased is None):
            one.erased = True
            self.clients.erased_at.append(time.monotonic())
        else:
            self.odd("erase", answer)

    def run(self):
        while not self.clients.ending:
            living = [one for one in self.people if one.erased is not True]
            what = self.chance.random()
            if len(living) < 3 or what < 0.2:
                self.create()
            if living:
                one = self.chance.choice(living)
                if what > 0.85 and (len(living) > 3 or what > 0.97):
                    self.erase(one)
                elif what > 0.7 and one.version is not None and one.erased is False:
                    self.patch(one)
                else:
                    self.read(one)


class Clients:
    def __init__(self, place, token, count, seed):
        self.place, self.token, self.seed, self.ending, self.odd, self.erased_at = place, token, seed, False, [], []
        self.workers = [Worker(self, number) for number in range(count)]
        for worker in self.workers:
            worker.start()

    def stop(self):
        self.ending = True
        for worker in self.workers:
            worker.join(90)

    def told(self):
        """How often each answer came, of all."""
        told = {}
        for worker in self.workers:
            for key, count in list(worker.told.items()):
                told[key] = told.get(key, 0) + count
        return told

    def count(self, what, code):
        return self.told().get((what, code), 0)

    def verify(self):
        """On a server that is well: what was told is so."""
        check(not self.odd, f"answers that must not be: {self.odd[:5]}")
        entries = trail_requests(self.place)
        client, shown = self.place.app(), 0
        for worker in self.workers:
            missing = [request for request in worker.shown if request not in entries]
            check(not missing, f"values were shown and have no entry: {missing[:5]}")
            shown += len(worker.shown)
            for one in worker.people:
                answer = client.get(f"/v1/subjects/{one.subject}?{READ}", validate=False)
                is_there = answer.status == 200 and answer["records"][0]["fields"]["name"] in one.names
                check((answer.status == 404 and one.erased is not False) or (is_there and one.erased is not True),
                      f"{one.names} erased {one.erased}: {answer.status} {answer.body[:300]}")
        return shown


def trail_requests(place):
    """The request ids of all entries of the trail."""
    steward, found, cursor = place.steward(), set(), ""
    while cursor is not None:
        page = people.want(200, steward.get(f"/v1/audit?limit=1000{cursor}", validate=False))
        found.update(one["entry"].get("request_id") for one in page["entries"])
        cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else None
    return found

"""A browser, driven over WebDriver by what Python has itself."""

import base64
import json
import re
import subprocess
import tempfile
import time
import urllib.error
import urllib.request


# The driver and all that it starts, in a group of their own, which ends when the other end of this pipe does: however whoever holds it ends.
BOUND = "chromedriver --port=0 & exec >/dev/null 2>&1; cat; kill -KILL 0"


class Browser:
    """Chromium without a window; what it said and whom it asked is kept."""

    def __init__(self):
        self.profile = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        port = self._start_driver()
        self.base = f"http://127.0.0.1:{port}/session"
        options = {
            # Root has no sandbox.
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={self.profile.name}"],
        }
        logs = {"browser": "ALL", "performance": "ALL"}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": logs}
        session = self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self.base += "/" + session["sessionId"]

    def _start_driver(self):
        """Its port, which the driver takes for one family of addresses and then wants for the other, too, where somebody may have it."""
        for _ in range(5):
            self.driver = subprocess.Popen(
                ["sh", "-c", BOUND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
            )
            said = []
            for line in self.driver.stdout:
                found = re.search(r"started successfully on port (\d+)", line)
                if found:
                    return found.group(1)
                said.append(line)
            self._end_driver()
        raise SystemExit("FAILED: chromedriver does not start: " + "".join(said[-5:]))

    def _ask(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.base + path, data, {"content-type": "application/json"}, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as refused:
            raise SystemExit(f"FAILED: the browser refuses {path}: {refused.read().decode()[:500]}") from refused

    def _end_driver(self):
        self.driver.stdin.close()
        self.driver.wait()
        self.driver.stdout.close()

    def close(self):
        try:
            self._ask("DELETE", "")
        finally:
            self._end_driver()
            self.profile.cleanup()

    def go(self, url):
        self._ask("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        """What this JavaScript returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def until(self, what, script):
        """Waits for this JavaScript to return something true."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            value = self.run(script)
            if value:
                return value
            time.sleep(0.1)
        raise SystemExit(f"FAILED: waited in vain for {what}")

    def press(self, *keys):
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def devtools(self, command, **parameters):
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def look(self, width, height, scheme):
        """The size of the window, in CSS pixels, and what its user prefers."""
        mobile = width < 500
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if mobile else 1, mobile=mobile)
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path):
        shot = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        data = base64.b64decode(shot["data"])
        path.write_bytes(data)
        return data

    def said(self):
        """What stands in its console since the last look."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"})]

    def asked(self):
        """The addresses that it asked for since the last look."""
        return [event["params"]["request"]["url"] for event in self.network() if event["method"] == "Network.requestWillBeSent"]

    def network(self):
        """What its network did since the last look, in the words of its own tools."""
        return [json.loads(entry["message"])["message"] for entry in self._ask("POST", "/se/log", {"type": "performance"})]


if __name__ == "__main__":
    # For `run`, which kills whoever has this one.
    held = Browser()
    print("open", flush=True)
    while True:
        time.sleep(60)

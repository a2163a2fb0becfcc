#!/usr/bin/env python3
"""boot.py BUCKET KEY VERSION SHA256: fetches from S3 exactly this object, with the instance's role, and runs the `boot` in it.

On an instance of the vendor's own image, which has Python for cloud-init, and need not have the AWS CLI. What cannot be made an instance of the pool
leaves as a broken one with an agent does, and is switched off: it would cost money and do nothing, and no agent is there to end it. What becomes of
it where this program is killed, or hangs, is boot-deadline.sh's.
"""

import datetime
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

METADATA = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254")
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
FOLDER = "/tmp/lightsout-image"


def metadata(path, token=None):
    if token is None:
        asked = urllib.request.Request(METADATA + "/latest/api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "300"})
        token = DIRECT.open(asked, timeout=5).read().decode()
    asked = urllib.request.Request(METADATA + "/latest/meta-data/" + path, headers={"X-aws-ec2-metadata-token": token})
    return DIRECT.open(asked, timeout=5).read().decode()


def sign(method, path, query, headers, service, region, key, secret):
    """The value of Authorization (AWS Signature Version 4); the headers have lower-case names, x-amz-date and x-amz-content-sha256 among them."""
    stamp = headers["x-amz-date"]
    scope = "/".join([stamp[:8], region, service, "aws4_request"])
    names = ";".join(sorted(headers))
    lines = "".join("%s:%s\n" % (name, headers[name]) for name in sorted(headers))
    asked = "\n".join([method, path, query, lines, names, headers["x-amz-content-sha256"]])
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(asked.encode()).hexdigest()])
    made = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        made = hmac.new(made, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(made, text.encode(), hashlib.sha256).hexdigest()
    return "AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s" % (key, scope, names, signature)


def call(service, variable, path, query="", body=None):
    """Asks a service of this region with the instance's role; the answer is to be read. Without a body it is a GET, else the POST of a form."""
    role = metadata("iam/security-credentials/").split()[0]
    credentials = json.loads(metadata("iam/security-credentials/" + role))
    region = metadata("placement/region")
    endpoint = os.environ.get(variable) or "https://%s.%s.%s" % (service, region, metadata("services/domain"))
    data = None if body is None else urllib.parse.urlencode(body).encode()
    headers = {
        "host": urllib.parse.urlsplit(endpoint).netloc,
        "x-amz-content-sha256": hashlib.sha256(data or b"").hexdigest(),
        "x-amz-date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ"),
        "x-amz-security-token": credentials["Token"],
    }
    method = "GET" if data is None else "POST"
    authorization = sign(method, path, query, headers, service, region, credentials["AccessKeyId"], credentials["SecretAccessKey"])
    headers["authorization"] = authorization
    asked = urllib.request.Request(endpoint + path + ("?" + query if query else ""), data=data, headers=headers, method=method)
    return urllib.request.urlopen(asked, timeout=60)


def fetch(bucket, key, version, file):
    path = "/" + urllib.parse.quote(bucket + "/" + key, safe="/-_.~")
    query = "versionId=" + urllib.parse.quote(version, safe="-_.~")
    with call("s3", "AWS_ENDPOINT_URL_S3", path, query) as answer, open(file, "wb") as out:
        shutil.copyfileobj(answer, out)


def leave():
    """As an agent's broken instance does: out of the group with one from its desired capacity, so that the group starts no other for it and only the
    scaler does, while jobs wait; at the group's minimum without.
    """
    instance = metadata("instance-id")
    for left in range(5, -1, -1):
        for decrement in ("true", "false"):
            asked = {
                "Action": "TerminateInstanceInAutoScalingGroup",
                "InstanceId": instance,
                "ShouldDecrementDesiredCapacity": decrement,
                "Version": "2011-01-01",
            }
            try:
                call("autoscaling", "AWS_ENDPOINT_URL_AUTO_SCALING", "/", body=asked).close()
                return
            except urllib.error.HTTPError as error:
                said = error.read().decode(errors="replace")
                print("lightsout: leaving the group: %s" % said, flush=True)
                if "desiredSize equals minSize" not in said:
                    break
            except Exception as error:
                print("lightsout: leaving the group: %s" % error, flush=True)
                break
        if left:
            time.sleep(5)


def run(bucket, key, version, sha256):
    file = "/var/tmp/lightsout-boot.tar.gz"
    # A role that is seconds old may not have its rights yet.
    for left in range(30, -1, -1):
        try:
            fetch(bucket, key, version, file)
            break
        except Exception as error:
            print("s3://%s/%s: %s" % (bucket, key, error), flush=True)
            if left == 0:
                raise
            time.sleep(10)
    with open(file, "rb") as data:
        found = hashlib.sha256(data.read()).hexdigest()
    if found != sha256:
        raise ValueError("s3://%s/%s is not what was named: its SHA-256 is %s, and not %s" % (bucket, key, found, sha256))
    os.makedirs(FOLDER)
    subprocess.run(["tar", "--extract", "--gzip", "--file", file, "--directory", FOLDER], check=True)
    os.remove(file)
    subprocess.run(["bash", FOLDER + "/boot"], check=True, timeout=1800)


if __name__ == "__main__":
    try:
        run(*sys.argv[1:])
    except Exception as error:
        print("lightsout: this instance cannot become one of its pool, and is switched off: %s" % error, flush=True)
        try:
            leave()
        finally:
            subprocess.run(["systemctl", "poweroff"], check=False)
        sys.exit(1)

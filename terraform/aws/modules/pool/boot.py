#!/usr/bin/env python3
"""boot.py BUCKET KEY VERSION SHA256: fetches from S3 exactly this object, with the instance's role, and runs the `boot` in it.

On an instance of the vendor's own image, which has Python for cloud-init, and need not have the AWS CLI. What cannot be made an instance of the pool
is switched off: it would cost money and do nothing, and no agent is there to end it.
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


def sign(path, query, headers, region, key, secret):
    """The value of Authorization for a GET (AWS Signature Version 4); the headers have lower-case names, x-amz-date among them."""
    stamp = headers["x-amz-date"]
    scope = "/".join([stamp[:8], region, "s3", "aws4_request"])
    names = ";".join(sorted(headers))
    lines = "".join("%s:%s\n" % (name, headers[name]) for name in sorted(headers))
    asked = "\n".join(["GET", path, query, lines, names, headers["x-amz-content-sha256"]])
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(asked.encode()).hexdigest()])
    made = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        made = hmac.new(made, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(made, text.encode(), hashlib.sha256).hexdigest()
    return "AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s" % (key, scope, names, signature)


def fetch(bucket, key, version, file):
    role = metadata("iam/security-credentials/").split()[0]
    credentials = json.loads(metadata("iam/security-credentials/" + role))
    region = metadata("placement/region")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or "https://s3.%s.%s" % (region, metadata("services/domain"))
    path = "/" + urllib.parse.quote(bucket + "/" + key, safe="/-_.~")
    query = "versionId=" + urllib.parse.quote(version, safe="-_.~")
    headers = {
        "host": urllib.parse.urlsplit(endpoint).netloc,
        "x-amz-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-amz-date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ"),
        "x-amz-security-token": credentials["Token"],
    }
    headers["authorization"] = sign(path, query, headers, region, credentials["AccessKeyId"], credentials["SecretAccessKey"])
    with urllib.request.urlopen(urllib.request.Request(endpoint + path + "?" + query, headers=headers), timeout=60) as answer, open(file, "wb") as out:
        shutil.copyfileobj(answer, out)


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
        subprocess.run(["systemctl", "poweroff"], check=False)
        sys.exit(1)

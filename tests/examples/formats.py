"""What knows the formats of the examples: is the file valid, and what does it say?

formats.py compose FILE
formats.py kubernetes FILE FOLDER     writes what a pod of it is started with into FOLDER
"""

import pathlib
import sys

import compose_spec
import kubernetes_validate
import yaml

VERSION = "1.37"


def compose(path):
    text = path.read_text()
    valid(read_compose, text, text.replace("read_only: true", "read_only: perhaps"))
    valid(read_compose, text, text.replace("secrets: [read-token]", "secrets: [write-token]"))
    service = yaml.safe_load(text)["services"]["scaler"]
    context = (path.parent / service["build"]["context"]).resolve()
    dockerfile = (context / service["build"]["dockerfile"]).resolve()
    wanted(dockerfile == (path.parent / "Dockerfile").resolve(), f"it builds {dockerfile}")
    for volume in service["volumes"]:
        source = volume.split(":")[0]
        wanted((path.parent / source).is_file(), f"there is no {source}")
    wanted(service["read_only"] and service["cap_drop"] == ["ALL"], "it may do more than it needs")


def kubernetes(path, folder):
    documents = {it["kind"]: it for it in yaml.safe_load_all(path.read_text())}
    for document in documents.values():
        kubernetes_validate.validate(document, VERSION, strict=True)
    broken = yaml.safe_load(yaml.safe_dump(documents["CronJob"]))
    broken["spec"]["concurrencyPolicies"] = broken["spec"].pop("concurrencyPolicy")
    try:
        kubernetes_validate.validate(broken, VERSION, strict=True)
        sys.exit("FAILED: a misspelt key is not seen")
    except kubernetes_validate.ValidationError:
        pass
    job = documents["CronJob"]["spec"]["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    container = pod["containers"][0]
    names = {it["metadata"]["namespace"] for kind, it in documents.items() if kind != "Namespace"}
    wanted(names == {documents["Namespace"]["metadata"]["name"]}, f"namespaces {names}")
    wanted(pod["serviceAccountName"] == documents["ServiceAccount"]["metadata"]["name"], "another service account")
    wanted(job["backoffLimit"] == 0 and pod["restartPolicy"] == "Never", "a failed tick is tried again")
    volumes = {it["name"]: it for it in pod["volumes"]}
    wanted(volumes["settings"]["configMap"]["name"] == documents["ConfigMap"]["metadata"]["name"], "another config map")
    mounts = {it["name"]: it["mountPath"] for it in container["volumeMounts"]}
    wanted(set(mounts) == set(volumes), "mounts and volumes differ")
    folder.mkdir()
    security = pod["securityContext"]
    for name, text in {
        "arguments": "\n".join(container["args"]) + "\n",
        "settings": mounts["settings"],
        "secrets": mounts["secrets"],
        "user": f"{security['runAsUser']}:{security['runAsGroup']}",
        "scaler.toml": documents["ConfigMap"]["data"]["scaler.toml"],
    }.items():
        (folder / name).write_text(text)


def read_compose(text):
    compose_spec.PyCompose.from_yaml(text).validate()


def valid(read, good, bad):
    read(good)
    try:
        read(bad)
    except Exception:  # noqa: BLE001  whatever the library says no with
        return
    sys.exit("FAILED: what is wrong is not seen")


def wanted(holds, what):
    if not holds:
        sys.exit(f"FAILED: {what}")


if sys.argv[1] == "compose":
    compose(pathlib.Path(sys.argv[2]))
else:
    kubernetes(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))

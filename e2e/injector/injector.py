"""injector.py HOST CONTAINER: another webhook that changes new pods, beside Shekara's. The API server asks it as HOST, on port 8443,
and knows it by the certificate that it makes of itself, /tmp/injector.pem.

CONTAINER is JSON: a container that tries something and ends. What is done to a pod is the last part of the path at which the API server
asks: a key of WAYS. Where the part before it is "late", Shekara's containers are taken out at the first call for a pod and the way is
gone at the next: Shekara puts them in again between the two, and is not asked after it.
"""
import base64
import copy
import http.server
import json
import ssl
import subprocess
import sys

PORT = 8443
FILE, KEY = "/tmp/injector.pem", "/tmp/injector.key"
MARK = "injector.example.com/asked-at"
OURS = ["shekara-init", "shekara-proxy", "shekara-verify"]
LATER = "2200-01-01T00:00:00Z"


# ---- what is done to a pod ---------------------------------------------------------------------------------------------------


def first(pod):
    """The init containers."""
    return pod["spec"].setdefault("initContainers", [])


def own(pod):
    """The containers that are not Shekara's."""
    return [container for container in [*first(pod), *pod["spec"]["containers"]] if container["name"] not in OURS]


def added(name, **fields):
    return {**copy.deepcopy(CONTAINER), "name": name, **fields}


def waiting(name, **fields):
    return added(name, command=["sleep", "infinity"], **fields)


def beside(pod):
    """What injectors do: containers of theirs at every place, another order, and something in each container but Shekara's."""
    if any(container["name"] == "second-first" for container in first(pod)):
        return
    spec, metadata = pod["spec"], pod["metadata"]
    spec["initContainers"] = [
        added("second-first"), *first(pod), waiting("second-sidecar", restartPolicy="Always"), added("second-last")
    ]
    spec["containers"] = [waiting("second-beside"), *reversed(spec["containers"])]
    spec.setdefault("volumes", []).append({"name": "second", "emptyDir": {}})
    for container in own(pod):
        container.setdefault("env", []).append({"name": "SECOND", "value": "true"})
        container.setdefault("volumeMounts", []).append({"name": "second", "mountPath": "/second"})
    metadata.setdefault("labels", {})["injector.example.com/injected"] = "true"


def everywhere(pod):
    """A variable in each container, whoever put it in."""
    for container in [*first(pod), *pod["spec"]["containers"]]:
        variables = container.setdefault("env", [])
        if all(variable["name"] != "SECOND" for variable in variables):
            variables.append({"name": "SECOND", "value": "true"})


def before(pod):
    """A container of its own before all others."""
    others = [container for container in first(pod) if container["name"] != "second-first"]
    pod["spec"]["initContainers"] = [added("second-first"), *others]


def without(*names):
    def way(pod):
        pod["spec"]["initContainers"] = [container for container in first(pod) if container["name"] not in names]

    return way


def changed(name, **fields):
    """One of Shekara's containers with other fields."""

    def way(pod):
        for container in first(pod):
            if container["name"] == name:
                container.update(fields)

    return way


def secured(name, **fields):
    """One of Shekara's containers with another security context."""

    def way(pod):
        for container in first(pod):
            if container["name"] == name:
                container["securityContext"].update(fields)

    return way


def told(name, value, *containers):
    """The proxy, or others of Shekara's containers, with another value of a variable."""

    def way(pod):
        for container in first(pod):
            if container["name"] in (containers or OURS[1:2]):
                variables = [variable for variable in container.get("env", []) if variable["name"] != name]
                container["env"] = [*variables, {"name": name, "value": value}]

    return way


def mounted(pod):
    """Another table of countries."""
    for container in first(pod):
        if container["name"] == "shekara-proxy":
            container["volumeMounts"].append({"name": "authority", "mountPath": "/geo"})


def speaks(pod):
    """The token of the sidecar in the application."""
    if any(volume["name"] == "shekara-token" for volume in pod["spec"].get("volumes", [])):
        for container in pod["spec"]["containers"]:
            container.setdefault("volumeMounts", []).append({"name": "shekara-token", "mountPath": "/token"})


def unmarked(pod):
    pod["metadata"].get("labels", {}).pop("shekara.dev/covered", None)


def able(pod):
    """An application that keeps its capabilities."""
    for container in pod["spec"]["containers"]:
        container.pop("securityContext", None)


def unconfined(pod):
    """An application without seccomp."""
    for container in pod["spec"]["containers"]:
        container.setdefault("securityContext", {})["seccompProfile"] = {"type": "Unconfined"}


def of_the_node(pod):
    pod["spec"]["hostNetwork"] = True


WAYS = {
    "beside": beside,
    "everywhere": everywhere,
    "before": before,
    "without-all": without(*OURS),
    "without-init": without("shekara-init"),
    "without-proxy": without("shekara-proxy"),
    "without-verify": without("shekara-verify"),
    "image": changed("shekara-proxy", image="registry.example.com/another:1"),
    "image-of-the-filter": changed("shekara-init", image="registry.example.com/another:1"),
    "command": changed("shekara-verify", command=["/shekara-sidecar", "ready"]),
    "arguments": changed("shekara-verify", args=["--help"]),
    "hook": changed("shekara-proxy", lifecycle={"preStop": {"exec": {"command": ["/shekara-sidecar", "ready"]}}}),
    "probe": changed("shekara-proxy", livenessProbe={"exec": {"command": ["/nft", "list", "ruleset"]}}),
    "filter-beside": changed("shekara-init", restartPolicy="Always"),
    "proof-beside": changed("shekara-verify", restartPolicy="Always"),
    "port-of-the-node": changed("shekara-proxy", ports=[{"containerPort": 15021, "hostPort": 15021}]),
    "without-seccomp": secured("shekara-proxy", seccompProfile={"type": "Unconfined"}),
    "application-without-seccomp": unconfined,
    "folder": changed("shekara-proxy", workingDir="/tmp"),
    "more-capabilities": secured("shekara-proxy", capabilities={"drop": ["ALL"], "add": ["NET_RAW", "NET_ADMIN"]}),
    "no-capability": secured("shekara-init", capabilities={"drop": ["ALL"]}),
    "privileged": secured("shekara-proxy", privileged=True, allowPrivilegeEscalation=True),
    "user": secured("shekara-verify", runAsUser=0, runAsNonRoot=False),
    "policy-api": told("SHEKARA_POLICY_API", "injector.example.com:8443"),
    "variable": told("SECOND", "true"),
    "root": told("SHEKARA_ROOT", "0" * 64),
    "resolvers": told("SHEKARA_RESOLVERS", "192.0.2.53:53"),
    "holdings": told("SHEKARA_HOLDINGS", "another"),
    "observes": told("SHEKARA_OBSERVE_UNTIL", LATER, *OURS),
    "mounted": mounted,
    "speaks": speaks,
    "unmarked": unmarked,
    "able": able,
    "of-the-node": of_the_node,
}


def inject(path, pod):
    """The pod as it is to be."""
    *places, way = path.strip("/").split("/")
    annotations = pod["metadata"].get("annotations", {})
    is_first = annotations.get(MARK) != path
    pod["metadata"]["annotations"] = {**annotations, MARK: path}
    if "late" in places and is_first:
        way = "without-all"
    WAYS[way](pod)


# ---- the server --------------------------------------------------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):  # the name is the library's
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        pod = copy.deepcopy(request["object"])
        inject(self.path.split("?")[0], pod)
        patch = [{"op": "add", "path": path, "value": value} for path, value in whole(pod)]
        review["response"] = {
            "uid": request["uid"], "allowed": True, "patchType": "JSONPatch",
            "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
        }
        del review["request"]
        body = json.dumps(review).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def whole(pod):
    """The parts that are written anew; what is the same afterwards is no change for the API server."""
    metadata = pod["metadata"]
    for name in ("labels", "annotations"):
        yield f"/metadata/{name}", metadata.get(name, {})
    yield "/spec", pod["spec"]


def certify(host):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
         "-subj", "/CN=injector", "-addext", f"subjectAltName=DNS:{host}", "-keyout", KEY, "-out", FILE],
        check=True, capture_output=True,
    )


def main():
    certify(sys.argv[1])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(FILE, KEY)
    server = http.server.ThreadingHTTPServer(("", PORT), Handler)
    # whoever connects and says nothing, as the kubelet does, keeps no one else waiting
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


CONTAINER = json.loads(sys.argv[2])
main()

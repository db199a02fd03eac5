#!/usr/bin/env python3
"""What whoever installs the chart relies on: its package, its values, its images, and tools that render it. Run by charts/lint."""

import copy
import functools
import json
import os
import pathlib
import re
import subprocess
import unittest

import jsonschema
import yaml

import checks
import readme

CHART = checks.CHART
ROOT = CHART.parents[1]
NONE = ()
KIND = "shekara.dev/v1alpha1/SovereigntyStandard"
EVERY = checks.KINDS


def render(*values, kinds=EVERY, arguments=()):
    """The objects that are rendered with files or dictionaries of values."""
    outcome = attempt(*values, kinds=kinds, arguments=arguments)
    assert outcome.returncode == 0, outcome.stderr
    return [document for document in yaml.load_all(outcome.stdout, Loader=yaml.CSafeLoader) if document]


def attempt(*values, kinds=EVERY, arguments=()):
    given = {}
    for value in values:
        given = merged(given, value if isinstance(value, dict) else yaml.safe_load(pathlib.Path(value).read_text()))
    return helm(yaml.safe_dump(given), tuple(kinds), tuple(arguments))


@functools.cache
def helm(values, kinds, arguments):
    command = [os.environ["HELM"], "template", "shekara", str(CHART), "--namespace", "shekara-system", *arguments]
    command += ["--values", "-", *[argument for kind in kinds for argument in ("--api-versions", kind)]]
    return subprocess.run(command, input=values, capture_output=True, text=True, check=False)


def merged(below, above):
    both = {**below}
    for key, value in above.items():
        both[key] = merged(below[key], value) if isinstance(value, dict) and isinstance(below.get(key), dict) else value
    return both


def of_kind(objects, kind):
    return [document for document in objects if document["kind"] == kind]


def pods(objects):
    """The specs of pods, with the kinds of what makes them."""
    for document in objects:
        if document["kind"] in ("Deployment", "DaemonSet"):
            yield document["kind"], document["spec"]["template"]["spec"]
        elif document["kind"] == "Pod":
            yield "Pod", document["spec"]


def containers(pod):
    return pod.get("initContainers", []) + pod["containers"]


MINIMAL, FULL = CHART / "ci/minimal.yaml", CHART / "ci/full.yaml"


class Package(unittest.TestCase):
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    annotations = {name.removeprefix("artifacthub.io/"): value for name, value in chart["annotations"].items()}

    def test_its_version_is_that_of_the_programs(self):
        version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
        self.assertEqual((self.chart["version"], self.chart["appVersion"]), (version, version))

    def test_it_is_refused_by_older_versions_of_kubernetes(self):
        oldest = checks.VERSIONS[0]
        self.assertEqual(self.chart["kubeVersion"], f">={oldest}.0-0")
        self.assertIn(f"\nOLDEST ?= {oldest}##", (ROOT / "Makefile").read_text())
        for version in (f"{oldest}.0", f"v{oldest}.4-eks-1a2b3c", f"{checks.VERSIONS[-1]}.1"):
            self.assertEqual(attempt(MINIMAL, arguments=("--kube-version", version)).returncode, 0, version)
        outcome = attempt(MINIMAL, arguments=("--kube-version", "1.32.14"))
        self.assertNotEqual(outcome.returncode, 0)
        self.assertIn("incompatible with Kubernetes", outcome.stderr)

    def test_artifact_hub_is_told_of_the_kinds(self):
        told = {entry["name"]: (entry["kind"], entry["version"]) for entry in yaml.safe_load(self.annotations["crds"])}
        made = of_kind(render(MINIMAL), "CustomResourceDefinition")
        self.assertEqual(told, {kind["metadata"]["name"]: (kind["spec"]["names"]["kind"], kind["spec"]["versions"][0]["name"]) for kind in made})
        self.assertEqual((self.annotations["license"], self.annotations["category"], self.annotations["operator"]), ("Apache-2.0", "security", "true"))
        self.assertIn(self.annotations["operatorCapabilities"], ("Basic Install", "Seamless Upgrades", "Full Lifecycle", "Deep Insights", "Auto Pilot"))
        self.assertTrue(all(change["kind"] in ("added", "changed", "fixed", "removed", "security") for change in yaml.safe_load(self.annotations["changes"])))

    def test_examples_and_presets_are_of_their_kinds(self):
        objects = render(FULL)
        schemas = {
            kind["spec"]["names"]["kind"]: strict(kind["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
            for kind in of_kind(objects, "CustomResourceDefinition")
        }
        examples = yaml.safe_load(self.annotations["crdsExamples"])
        self.assertEqual({example["kind"] for example in examples}, set(schemas))
        for document in [*examples, *of_kind(objects, "SovereigntyStandard")]:
            with self.subTest(kind=document["kind"], name=document["metadata"]["name"]):
                jsonschema.validate({"spec": document["spec"]}, schemas[document["kind"]])

    def test_what_is_said_after_an_installation_fits_the_values(self):
        def notes(*values):
            command = [os.environ["HELM"], "install", "shekara", str(CHART), "--dry-run=client", "--namespace", "shekara-system"]
            command += [argument for value in values for argument in ("--values", str(value))]
            outcome = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "KUBECONFIG": os.devnull})
            return outcome.stdout.partition("NOTES:")[2]

        said = notes(MINIMAL)
        for part in ("is in shekara-system", "shekara.dev/protect=true", "shekara-keys"):
            self.assertIn(part, said)
        for part in ("admission policies are off", "There is no"):
            self.assertNotIn(part, said)
        self.assertIn("admission policies are off", notes(CHART / "ci/without.yaml"))


def strict(schema):
    """A schema that takes no field which it does not know."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema and schema.get("type") == "object":
        closed["additionalProperties"] = False
    return closed


class Values(unittest.TestCase):
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())

    def objects(self):
        """Every object of the schema that names its keys, with its path."""

        def walk(node, path):
            node = self.schema["definitions"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
            if "properties" in node:
                yield path, node
            for key, below in node.get("properties", {}).items():
                yield from walk(below, (*path, key))
            if "properties" in node.get("items", {}):
                yield from walk(node["items"], (*path, "[]"))

        return list(walk(self.schema, ()))

    def test_schema_and_defaults_have_the_same_keys(self):
        for path, node in self.objects():
            if "[]" in path:
                continue
            value = self.defaults
            for key in path:
                value = value[key]
            with self.subTest(path=path):
                self.assertEqual(set(value), set(node["properties"]) - {"global"})

    def test_no_object_takes_a_key_that_is_not_there(self):
        valid = merged(self.defaults, yaml.safe_load(FULL.read_text()))
        del valid["node"]["nodeSelector"]["kubernetes.io/os"]  # what is null is taken away by helm
        jsonschema.validate(valid, self.schema)
        self.assertGreater(len(self.objects()), 20)
        for path, node in self.objects():
            with self.subTest(path=path):
                self.assertIs(node["additionalProperties"], False)
                values = copy.deepcopy(valid)
                place = values
                for key in path:
                    place = place[0] if key == "[]" else place[key]
                place["unknown"] = 1
                with self.assertRaisesRegex(jsonschema.ValidationError, "'unknown' was unexpected"):
                    jsonschema.validate(values, self.schema)

    def test_every_value_says_what_it_means_here_and_in_the_guide(self):
        guide = (ROOT / "docs/guides/platform-teams.md").read_text()
        for name, _, said in readme.values():
            with self.subTest(name=name):
                self.assertTrue(said.endswith(".") or said.endswith(",..."), said)
                self.assertTrue("`" + ".".join(name.split(".")[:2]) + "`" in guide, "not in docs/guides/platform-teams.md")

    def test_images_are_taken_by_tag_and_by_digest_from_any_registry(self):
        digest = "@sha256:" + "0123456789abcdef" * 4
        good = ["shekara:1", "localhost:5000/shekara:1", "registry.example.kz/a/b/shekara" + digest, "10.0.0.1:5000/shekara:v1_a.b-c" + digest]
        bad = ["shekara", "localhost:5000/shekara", "shekara:", "shekara@sha256:0123", "https://registry.example.kz/shekara:1", "shekara:1 ", "$(id):1"]
        pattern = self.schema["definitions"]["image"]["pattern"]
        self.assertEqual([image for image in good if not re.search(pattern, image)], [])
        self.assertEqual([image for image in bad if re.search(pattern, image)], [])

    def test_high_availability_is_a_file_of_values(self):
        objects = render(MINIMAL, CHART / "values-ha.yaml")
        deployment = of_kind(objects, "Deployment")[0]["spec"]
        self.assertEqual(deployment["replicas"], 2)
        spread = [constraint["topologyKey"] for constraint in deployment["template"]["spec"]["topologySpreadConstraints"]]
        self.assertEqual(spread, ["kubernetes.io/hostname", "topology.kubernetes.io/zone"])
        budget = of_kind(objects, "PodDisruptionBudget")[0]["spec"]
        self.assertEqual((budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]), (1, "AlwaysAllow"))

    def test_pods_that_others_wait_for_have_priority(self):
        def classes(*values):
            return {kind: pod.get("priorityClassName") for kind, pod in pods(render(*values)) if kind != "Pod"}

        auto = {"enforcement": {"filter": "Auto"}}
        self.assertEqual(classes(MINIMAL, auto), {"Deployment": "system-cluster-critical", "DaemonSet": "system-node-critical"})
        none = {"operator": {"priorityClassName": ""}, "node": {"priorityClassName": ""}}
        self.assertEqual(classes(MINIMAL, auto, none), {"Deployment": None, "DaemonSet": None})


class Images(unittest.TestCase):
    def test_every_container_is_confined_and_has_a_numeric_user(self):
        for kind, pod in pods(render(FULL)):
            user = pod["securityContext"]["runAsUser"]
            # the agents write files of the node, which are root's
            self.assertEqual((user, pod["securityContext"].get("runAsNonRoot")), (0, None) if kind == "DaemonSet" else (65532, True))
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            for container in containers(pod):
                expected = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
                self.assertEqual(container["securityContext"], expected)

    def test_images_say_what_they_are_and_run_as_nobody(self):
        stages = re.split(r"^FROM ", (ROOT / "e2e/Containerfile").read_text(), flags=re.MULTILINE)
        product = {stage.split()[2]: stage for stage in stages if stage.startswith("scratch AS ")}
        self.assertEqual(set(product), {"sidecar", "operator", "cli"})
        for name, stage in product.items():
            with self.subTest(name=name):
                labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]+)"', stage))
                self.assertEqual(set(labels), {"title", "description", "source", "licenses", "version"})
                # the sidecar's containers have users of their own, which admission sets and policies compare
                self.assertEqual(re.findall(r"^USER (.*)", stage, re.MULTILINE), [] if name == "sidecar" else ["65532:65532"])

    def test_the_guide_lists_all_images(self):
        text = (ROOT / "docs/guides/platform-teams.md").read_text()
        filtering = re.search(r"^helm template .*\\\n  \| (.*)$", text, re.MULTILINE)[1]
        for values in (MINIMAL, FULL, CHART / "ci/without.yaml"):
            given = yaml.safe_load(values.read_text())["images"]
            listed = subprocess.run(filtering, shell=True, input=attempt(values).stdout, capture_output=True, text=True, check=True).stdout
            self.assertEqual(listed.split(), sorted([given["operator"], given["sidecar"]]))
            used = {container["image"] for _, pod in pods(render(values)) for container in containers(pod)}
            self.assertLessEqual(used, set(listed.split()))


class Rights(unittest.TestCase):
    # what cannot be bound to names, since they are made anew or vary; policies in the API server hold the operator to its own
    UNBOUND = {
        "ClusterRole": {
            ("shekara.dev", "dataholdings", "create"),
            *(("shekara.dev", f"{kind}/status", "patch") for kind in ("dataholdings", "recipients", "sovereigntystandards")),
            ("", "pods", "delete"),
            *(("", "configmaps", verb) for verb in ("create", "patch", "delete")),
            *(("apps", kind, "patch") for kind in ("deployments", "statefulsets", "daemonsets")),
            ("", "persistentvolumeclaims", "patch"),
            *(("events.k8s.io", "events", verb) for verb in ("create", "patch")),
            ("authentication.k8s.io", "tokenreviews", "create"),
        },
        "Role": {
            ("", "secrets", "create"),
            ("coordination.k8s.io", "leases", "create"),
            *(("", "configmaps", verb) for verb in ("create", "patch", "delete")),
        },
    }

    def test_what_is_not_bound_to_a_name_is_known(self):
        objects = render(FULL)
        for kind, expected in self.UNBOUND.items():
            rules = next(role for role in of_kind(objects, kind) if role["metadata"]["name"] == "shekara-operator")["rules"]
            writes = {
                (group, resource, verb)
                for rule in rules
                if "resourceNames" not in rule
                for group in rule.get("apiGroups", [])
                for resource in rule["resources"]
                for verb in rule["verbs"]
                if verb not in ("get", "list", "watch")
            }
            self.assertEqual(writes, expected)
            self.assertFalse([rule for rule in rules if "secrets" in rule.get("resources", []) and {"list", "watch"} & set(rule["verbs"])])


class Rendering(unittest.TestCase):
    """By helm, and by tools that take helm's place."""

    def test_nothing_depends_on_time_chance_or_the_cluster(self):
        for path in (CHART / "templates").rglob("*"):
            if path.is_file():
                text = path.read_text()
                for name in ("genCA", "genSelfSignedCert", "genSignedCert", "genPrivateKey", "lookup", "randAlpha", "randAlphaNum", "randNumeric", "uuidv4", "now", "getHostByName"):
                    self.assertNotRegex(text, rf"\{{\{{[^}}]*\b{name}\b", path)

    def test_objects_are_complete_and_each_is_there_once(self):
        for values in checks.CASES:
            seen = set()
            for document in render(CHART / "ci" / f"{values}.yaml"):
                name = (document["apiVersion"], document["kind"], document["metadata"].get("namespace"), document["metadata"]["name"])
                self.assertNotIn(name, seen)
                seen.add(name)
                # what is null in a manifest is a difference for ever to whoever compares
                self.assertEqual(list(empty(document)), [], name)

    def test_the_only_hook_is_the_test(self):
        hooks = {}
        for document in render(FULL):
            hook = document["metadata"].get("annotations", {}).get("helm.sh/hook")
            if hook:
                hooks[(document["kind"], document["metadata"]["name"])] = hook
        # so nothing has to run before what would block pods is gone, and `helm uninstall --no-hooks` leaves the same
        self.assertEqual(hooks, {("Pod", "shekara-test"): "test"})

    def test_all_that_admission_uses_goes_with_the_release(self):
        for document in render(FULL):
            if document["apiVersion"] == "admissionregistration.k8s.io/v1":
                self.assertNotIn("annotations", document["metadata"])

    def test_kinds_and_presets_are_neither_pruned_nor_uninstalled(self):
        kept = [document for document in render(FULL) if "helm.sh/resource-policy" in document["metadata"].get("annotations", {})]
        self.assertEqual({document["kind"] for document in kept}, {"CustomResourceDefinition", "SovereigntyStandard"})
        self.assertEqual(len(kept), 3 + 4)
        for document in kept:
            expected = {"helm.sh/resource-policy": "keep", "argocd.argoproj.io/sync-options": "Prune=false"}
            self.assertEqual(document["metadata"]["annotations"], expected)

    def test_kinds_can_be_applied_by_every_way(self):
        for document in of_kind(render(MINIMAL), "CustomResourceDefinition"):
            # `kubectl apply` keeps what it applied in an annotation, and those of an object may have 256 KiB
            self.assertLess(len(json.dumps(document)), 200 * 1024)

    def test_unknown_kinds_are_left_out_or_rendered(self):
        monitoring = {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}}
        presets = {"standards": {"presets": ["kz-law"]}}
        always = {"rendering": {"unknownKinds": "Render"}}

        def kinds(*values, kinds):
            return {document["kind"] for document in render(MINIMAL, *values, kinds=kinds)} & {*checks.MONITORING, "SovereigntyStandard"}

        self.assertEqual(kinds(monitoring, kinds=NONE), set())
        for kind in checks.MONITORING:
            self.assertEqual(kinds(monitoring, kinds=[f"monitoring.coreos.com/v1/{kind}"]), {kind})
        self.assertEqual(kinds(monitoring, always, kinds=NONE), set(checks.MONITORING))
        self.assertEqual(kinds(presets, kinds=[KIND]), {"SovereigntyStandard"})
        self.assertEqual(kinds(presets, always, kinds=NONE), {"SovereigntyStandard"})
        self.assertIn("rendering.unknownKinds", attempt(MINIMAL, presets, kinds=NONE).stderr)
        # the kind comes with what is of it
        self.assertIn("sovereigntystandards.shekara.dev", [kind["metadata"]["name"] for kind in of_kind(render(MINIMAL, presets, always, kinds=NONE), "CustomResourceDefinition")])

    def test_monitor_and_network_policy_find_what_they_are_for(self):
        objects = render(FULL)
        wanted = of_kind(objects, "ServiceMonitor")[0]["spec"]["selector"]["matchLabels"]
        # labels that tools such as Argo CD set to names of their own are no part of it
        self.assertEqual(wanted, {"shekara.dev/service": "metrics"})
        found = [service["metadata"]["name"] for service in of_kind(objects, "Service") if wanted.items() <= service["metadata"]["labels"].items()]
        self.assertEqual(found, ["shekara-metrics"])
        deployment = of_kind(objects, "Deployment")[0]["spec"]["template"]
        policy = of_kind(objects, "NetworkPolicy")[0]["spec"]
        ports = [port["name"] for port in deployment["spec"]["containers"][0]["ports"]]
        self.assertEqual([port["port"] for rule in policy["ingress"] for port in rule["ports"]], ports)
        self.assertLessEqual(policy["podSelector"]["matchLabels"].items(), deployment["metadata"]["labels"].items())


class GitOps(unittest.TestCase):
    """The examples for Argo CD and Flux."""

    @staticmethod
    def read(name):
        return [document for document in yaml.safe_load_all((ROOT / "examples/gitops" / name).read_text()) if document]

    def test_argo_cd_renders_everything_before_the_cluster_knows_the_kinds(self):
        (application,) = self.read("argocd.yaml")
        source = application["spec"]["source"]
        self.assertEqual((source["chart"], str(source["targetRevision"])), ("shekara", Package.chart["version"]))
        objects = render(source["helm"]["valuesObject"], kinds=NONE)
        presets = [document["metadata"]["name"] for document in of_kind(objects, "SovereigntyStandard")]
        self.assertEqual(presets, source["helm"]["valuesObject"]["standards"]["presets"])
        self.assertEqual(len(of_kind(objects, "CustomResourceDefinition")), 3)
        options = application["spec"]["syncPolicy"]["syncOptions"]
        self.assertIn("ServerSideApply=true", options)
        # it would write back a certificate authority that was replaced
        self.assertNotIn("RespectIgnoreDifferences=true", options)
        (ignored,) = application["spec"]["ignoreDifferences"]
        self.assertEqual(ignored["name"], of_kind(objects, "MutatingWebhookConfiguration")[0]["metadata"]["name"])

    def test_flux_has_the_kinds_before_the_chart(self):
        _, repository, release = self.read("flux.yaml")
        self.assertEqual(str(repository["spec"]["ref"]["tag"]), Package.chart["version"])
        self.assertEqual(release["spec"]["chartRef"], {"kind": repository["kind"], "name": repository["metadata"]["name"]})
        objects = render(release["spec"]["values"], kinds=[KIND])
        self.assertEqual(of_kind(objects, "CustomResourceDefinition"), [])
        self.assertEqual(len(of_kind(objects, "SovereigntyStandard")), 1)
        self.assertEqual(len(list((ROOT / "crds/yaml").glob("*.yaml"))), 3)

    def test_the_chart_leaves_alone_what_the_operator_writes(self):
        for webhook in of_kind(render(FULL), "MutatingWebhookConfiguration")[0]["webhooks"]:
            self.assertEqual(webhook["clientConfig"], {"service": {"name": "shekara-webhook", "namespace": "shekara-system", "port": 443}})


def empty(value, path=""):
    """The paths of what is null."""
    if value is None:
        yield path
    for key, below in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from empty(below, f"{path}/{key}")


if __name__ == "__main__":
    unittest.main()

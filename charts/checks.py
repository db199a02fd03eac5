#!/usr/bin/env python3
"""What is rendered from the chart, checked without a cluster. Run by charts/lint."""

import functools
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import kubernetes_validate
import yaml

CHART = pathlib.Path(__file__).parent / "shekara"
VERSIONS = ["1.33", "1.36", "1.37"]
MONITORING = ("ServiceMonitor", "PodMonitor", "PrometheusRule")
KINDS = (*(f"monitoring.coreos.com/v1/{kind}" for kind in MONITORING), "shekara.dev/v1alpha1/SovereigntyStandard")
CASES = sorted(path.stem for path in (CHART / "ci").glob("*.yaml"))


def helm(*values, namespace="shekara-system", kinds=KINDS):
    """Renders the chart with files of values, for a cluster that knows these kinds too; the outcome of the process."""
    files = [argument for value in values for argument in ("--values", str(value))]
    command = [os.environ["HELM"], "template", "shekara", str(CHART), "--namespace", namespace, *files]
    command += [argument for kind in kinds for argument in ("--api-versions", kind)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@functools.cache
def rendered(case, namespace="shekara-system"):
    outcome = helm(CHART / "ci" / f"{case}.yaml", namespace=namespace)
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def objects(case, kind=None, **how):
    found = [document for document in yaml.safe_load_all(rendered(case, **how)) if document]
    return [document for document in found if kind in (None, document["kind"])]


def named(case, kind, name):
    return next(document for document in objects(case, kind) if document["metadata"]["name"] == name)


def operator(case):
    return named(case, "Deployment", "shekara-operator")["spec"]["template"]["spec"]


class Rendered(unittest.TestCase):
    def test_every_object_is_valid_in_every_version(self):
        for case in CASES:
            for document in objects(case):
                if document["kind"] in (*MONITORING, "SovereigntyStandard", "Certificate"):  # not of Kubernetes itself
                    continue
                for version in VERSIONS:
                    with self.subTest(case=case, kind=document["kind"], name=document["metadata"]["name"], version=version):
                        kubernetes_validate.validate(document, version, strict=True)

    def test_what_can_be_left_out_is(self):
        kinds = {document["kind"] for document in objects("without")}
        absent = {"CustomResourceDefinition", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "NetworkPolicy", *MONITORING}
        self.assertEqual(kinds & absent, set())
        self.assertEqual([role["metadata"]["name"] for role in objects("without", "ClusterRole")], ["shekara-operator"])
        self.assertEqual({document["kind"] for document in objects("full")} & absent, absent)

    def test_rendering_twice_gives_the_same(self):
        self.assertEqual(helm(CHART / "ci/full.yaml").stdout, rendered("full"))

    def test_the_namespace_of_the_release_is_used_everywhere(self):
        here, elsewhere = rendered("full"), rendered("full", namespace="elsewhere")
        self.assertEqual(here.replace("shekara-system", "elsewhere"), elsewhere)

    def test_no_secret_and_no_authority_is_rendered(self):
        for case in CASES:
            self.assertEqual(objects(case, "Secret"), [])
            # left to the operator, so that an upgrade leaves it alone
            self.assertNotIn("caBundle", re.sub(r"#.*", "", rendered(case)))


class Operator(unittest.TestCase):
    def test_it_runs_with_as_little_as_it_can(self):
        for case in CASES:
            pod = operator(case)
            self.assertEqual([pod["securityContext"][name] for name in ("runAsNonRoot", "runAsUser")], [True, 65532])
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            for container in pod["containers"]:
                expected = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
                self.assertEqual(container["securityContext"], expected)
            self.assertNotIn("volumes", pod)

    def test_every_value_reaches_it(self):
        pod = operator("full")
        container = pod["containers"][0]
        environment = {variable["name"]: variable.get("value") for variable in container["env"]}
        expected = {
            "RUST_LOG": "info,shekara_operator=debug",
            "SHEKARA_SIDECAR_IMAGE": "registry.example.kz:5000/mirror/shekara-sidecar@sha256:" + "fedcba9876543210" * 4,
            "SHEKARA_SIDECAR_PULL_POLICY": "Always",
            "SHEKARA_SIDECAR_RESOURCES": '{"limits":{"memory":"128Mi"},"requests":{"cpu":1,"memory":"64Mi"}}',
            "SHEKARA_SIDECAR_LOG": "debug",
            "SHEKARA_SIDECAR_LIMITS": '{"associations":100,"flows":1000,"halfOpen":200,"helloBytes":8192,"helloSeconds":5,"labelBytesPerHour":1000,"labelsPerHour":50,"questions":64}',
            "SHEKARA_FILTER": "Auto",
            "SHEKARA_POD_SECURITY": "baseline",
            "SHEKARA_CHECKPOINT_INTERVAL": "60",
            "SHEKARA_DOCUMENT_KEY_AGE": "86400",
            "SHEKARA_AUTHORITY_AGE": "864000",
            "SHEKARA_KEY_OVERLAP": "600",
            "SHEKARA_CLUSTER_NETWORKS": "10.244.0.0/16,10.96.0.0/16,172.18.0.0/16,fd00:10:244::/56,fd00:10:96::/112",
            "SHEKARA_CLUSTER_DOMAIN": "cluster.example",
            "SHEKARA_DNS_SERVICE": "dns/resolver",
        }
        self.assertEqual({name: environment.get(name) for name in expected}, expected)
        self.assertEqual(container["imagePullPolicy"], "Always")
        self.assertEqual(pod["imagePullSecrets"], [{"name": "registry"}])
        self.assertEqual(pod["priorityClassName"], "platform")
        self.assertEqual(pod["nodeSelector"]["node-role.kubernetes.io/infra"], "")
        self.assertEqual(pod["tolerations"][0]["key"], "infra")
        self.assertIn("nodeAffinity", pod["affinity"])
        self.assertEqual(container["resources"]["limits"], {"memory": "1Gi"})
        template = named("full", "Deployment", "shekara-operator")["spec"]["template"]["metadata"]
        self.assertEqual((template["labels"]["team"], template["annotations"]["example.kz/owner"]), ("platform", "platform"))

    def test_replicas_are_spread_and_kept(self):
        spread = [constraint["topologyKey"] for constraint in operator("minimal")["topologySpreadConstraints"]]
        self.assertEqual(spread, ["kubernetes.io/hostname", "topology.kubernetes.io/zone"])
        self.assertEqual(objects("minimal", "PodDisruptionBudget"), [], "the only replica must be able to leave its node")
        budget = named("full", "PodDisruptionBudget", "shekara-operator")["spec"]
        self.assertEqual((budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]), (1, "AlwaysAllow"))
        labels = named("full", "Deployment", "shekara-operator")["spec"]["template"]["metadata"]["labels"]
        self.assertLessEqual(budget["selector"]["matchLabels"].items(), labels.items())

    def test_its_services_lead_to_its_ports(self):
        ports = {port["name"]: port["containerPort"] for port in operator("minimal")["containers"][0]["ports"]}
        services = {
            service["metadata"]["name"]: (service["spec"]["ports"][0]["port"], ports[service["spec"]["ports"][0]["targetPort"]])
            for service in objects("minimal", "Service")
        }
        self.assertEqual(services, {"shekara-policy": (8443, 8443), "shekara-webhook": (443, 9443), "shekara-metrics": (8080, 8080)})
        labels = named("minimal", "Deployment", "shekara-operator")["spec"]["template"]["metadata"]["labels"]
        for service in objects("minimal", "Service"):
            self.assertLessEqual(service["spec"]["selector"].items(), labels.items())

    def test_every_right_has_its_reason(self):
        for path in ("operator/rbac.yaml", "node/rbac.yaml", "roles.yaml"):
            lines = (CHART / "templates" / path).read_text().splitlines()
            rules = [number for number, line in enumerate(lines) if line.startswith("- apiGroups:")]
            self.assertTrue(rules)
            for number in rules:
                with self.subTest(path=path, line=number + 1):
                    # one reason may be for several rules that stand together
                    before = [line for line in lines[:number] if not line.startswith(("  resources:", "  verbs:", "- apiGroups:"))]
                    self.assertRegex(before[-1], r"^# ")

    def test_a_regulator_may_read_two_configmaps_beside_the_kinds(self):
        rules = named("minimal", "ClusterRole", "shekara-regulator")["rules"]
        self.assertEqual([rule["apiGroups"] for rule in rules], [["shekara.dev"], [""]])
        self.assertEqual((rules[1]["resources"], rules[1]["resourceNames"], rules[1]["verbs"]), (["configmaps"], ["shekara-closed", "shekara-none-held"], ["get"]))

    def test_it_may_read_two_secrets_and_change_one_webhook(self):
        rules = named("minimal", "Role", "shekara-operator")["rules"] + named("minimal", "ClusterRole", "shekara-operator")["rules"]
        for rule in rules:
            if "nonResourceURLs" in rule:
                self.assertEqual((rule["nonResourceURLs"], rule["verbs"]), (["/.well-known/openid-configuration", "/openid/v1/jwks"], ["get"]))
                continue
            self.assertNotIn("*", rule["verbs"] + rule["resources"] + rule["apiGroups"])
            if rule["resources"] == ["secrets"] and rule["verbs"] != ["create"]:
                self.assertEqual((rule["resourceNames"], rule["verbs"]), (["shekara-tls", "shekara-keys"], ["get", "update"]))
            if rule["resources"] == ["mutatingwebhookconfigurations"]:
                self.assertEqual(rule["resourceNames"], ["zz-shekara-sidecar-injector"])


class Authority(unittest.TestCase):
    """The certificate authority, where it comes from elsewhere."""

    SECRETS = {"minimal": None, "authority": "platform-ca", "full": "shekara-authority"}

    def test_the_operator_is_told_of_its_secret_and_may_get_it_and_no_more(self):
        for case, secret in self.SECRETS.items():
            with self.subTest(case=case):
                environment = {variable["name"]: variable.get("value") for variable in operator(case)["containers"][0]["env"]}
                self.assertEqual(environment.get("SHEKARA_AUTHORITY_SECRET"), secret)
                rules = named(case, "Role", "shekara-operator")["rules"] + named(case, "ClusterRole", "shekara-operator")["rules"]
                bound = [(rule.get("resourceNames"), rule["verbs"]) for rule in rules if rule.get("resources") == ["secrets"]]
                more = [([secret], ["get"])] if secret else []
                self.assertEqual(bound, [(None, ["create"]), (["shekara-tls", "shekara-keys"], ["get", "update"]), *more])

    def test_cert_manager_is_asked_for_one_that_the_operator_can_use(self):
        for case in ("minimal", "authority"):
            self.assertEqual(objects(case, "Certificate"), [])
        spec = named("full", "Certificate", "shekara-authority")["spec"]
        self.assertEqual((spec["secretName"], spec["isCA"], spec["usages"]), ("shekara-authority", True, ["cert sign"]))
        key = {"algorithm": "ECDSA", "size": 256, "encoding": "PKCS8", "rotationPolicy": "Always"}
        self.assertEqual(spec["privateKey"], key)
        self.assertEqual(spec["issuerRef"], {"name": "platform", "kind": "ClusterIssuer", "group": "issuers.example.kz"})
        self.assertEqual((spec["duration"], spec["renewBefore"]), ("720h", "240h30m"))

    def test_it_is_asked_for_by_who_does_not_know_the_kind_too(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("authority: {source: CertManager, certManager: {issuerRef: {name: platform}}}")
            file.flush()
            outcome = helm(CHART / "ci/minimal.yaml", file.name, kinds=())
        self.assertEqual(outcome.returncode, 0, outcome.stderr)
        self.assertIn("Certificate", [document["kind"] for document in yaml.safe_load_all(outcome.stdout) if document])


class Node(unittest.TestCase):
    """What sets packet filters where containers may not."""

    def test_nothing_is_on_the_nodes_where_pods_set_their_own(self):
        self.assertEqual(objects("minimal", "DaemonSet"), [])
        rules = named("minimal", "ClusterRole", "shekara-operator")["rules"]
        self.assertNotIn("delete", [verb for rule in rules if rule.get("resources") == ["pods"] for verb in rule["verbs"]])
        self.assertNotIn("packet-filter", named("minimal", "ValidatingAdmissionPolicy", "shekara-covered-pods")["spec"]["variables"][2]["expression"])

    def test_it_writes_two_folders_of_the_node_and_has_no_capability(self):
        pod = named("full", "DaemonSet", "shekara-node")["spec"]["template"]["spec"]
        self.assertEqual([volume["hostPath"]["path"] for volume in pod["volumes"]], ["/var/lib/networks", "/var/lib/plugins"])
        for container in pod["initContainers"] + pod["containers"]:
            expected = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
            self.assertEqual(container["securityContext"], expected)
            self.assertEqual(container["resources"], {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}})
        self.assertEqual(pod["initContainers"][0]["command"], ["/shekara-sidecar", "install", "/host/plugins"])
        self.assertEqual((pod["priorityClassName"], pod["nodeSelector"], pod["tolerations"]), ("nodes", {"cameras": "true"}, [{"key": "cameras"}]))
        self.assertTrue(pod["hostNetwork"], "it could not put right a network that it needs")
        for name in ("hostPID", "hostIPC"):
            self.assertNotIn(name, pod)

    def test_the_operator_deletes_no_pod_but_those_that_their_node_missed(self):
        rules = named("full", "ClusterRole", "shekara-operator")["rules"]
        self.assertIn("delete", [verb for rule in rules if rule.get("resources") == ["pods"] for verb in rule["verbs"]])
        policy = named("full", "ValidatingAdmissionPolicy", "shekara-replaced")["spec"]
        for part in ("shekara.dev/covered", "shekara.dev/packet-filter", "shekara-verify", "exitCode"):
            self.assertIn(part, policy["validations"][0]["expression"])


class Monitoring(unittest.TestCase):
    """Alerts and dashboard ask for what operator and sidecar really count."""

    def rules(self):
        return [rule for group in named("full", "PrometheusRule", "shekara")["spec"]["groups"] for rule in group["rules"]]

    def dashboard(self):
        return json.loads(named("full", "ConfigMap", "shekara-dashboard")["data"]["shekara.json"])

    def test_every_metric_that_is_asked_for_exists(self):
        sources = {
            prefix: (CHART.parents[1] / crate / "src/metrics.rs").read_text()
            for prefix, crate in (("shekara_operator_", "operator"), ("shekara_", "sidecar"))
        }
        asked = [rule["expr"] for rule in self.rules()]
        asked += [target["expr"] for panel in self.dashboard()["panels"] for target in panel["targets"]]
        asked.append(self.dashboard()["templating"]["list"][1]["query"]["query"])
        names = {name for text in asked for name in re.findall(r"shekara_\w+", text)}
        self.assertGreater(len(names), 20)
        for name in names:
            prefix = next(prefix for prefix in sources if name.startswith(prefix))
            with self.subTest(name=name):
                self.assertIn(f'"{name.removeprefix(prefix)}"', sources[prefix])

    def test_every_alert_says_what_it_means_and_is_in_the_guide(self):
        guide = (CHART.parents[1] / "docs/guides/platform-teams.md").read_text()
        for rule in self.rules():
            with self.subTest(alert=rule["alert"]):
                self.assertIn(rule["labels"]["severity"], ("page", "ticket"))
                self.assertTrue(rule["annotations"]["summary"] and rule["annotations"]["description"].endswith((".", "?")))
                expression = rule["expr"].replace("|", "\\|")
                self.assertIn(f"| `{rule['alert']}` | `{expression}`", guide)

    def test_panels_have_places_of_their_own(self):
        taken = set()
        for panel in self.dashboard()["panels"]:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & taken or max(x for x, _ in cells) > 23, panel["title"])
            taken |= cells


class Standards(unittest.TestCase):
    def test_those_that_are_chosen_are_made_and_none_by_default(self):
        self.assertEqual(objects("minimal", "SovereigntyStandard"), [])
        names = {document["metadata"]["name"] for document in objects("full", "SovereigntyStandard")}
        files = {path.stem for path in (CHART / "files/standards").glob("*.yaml")}
        self.assertEqual(names, files)
        choice = json.loads((CHART / "values.schema.json").read_text())["properties"]["standards"]["properties"]["presets"]["items"]["enum"]
        self.assertEqual(set(choice), files)

    def test_who_may_connect_is_listed_and_the_platform_says_whom_it_lists(self):
        for document in objects("full", "SovereigntyStandard"):
            inbound = document["spec"]["inbound"]
            self.assertEqual((inbound["mode"], [source["name"] for source in inbound["from"]]), ("Listed", ["ingress"]))

    def test_who_may_reach_into_pods_is_listed_and_the_platform_says_whom_it_lists(self):
        for document in objects("full", "SovereigntyStandard"):
            self.assertEqual(document["spec"]["access"], {"mode": "Listed", "groups": ["on-call"], "serviceAccounts": ["backup/agent"]})

    def test_volumes_are_of_listed_drivers_and_the_platform_says_which(self):
        for document in objects("full", "SovereigntyStandard"):
            self.assertEqual(document["spec"]["storage"], {"mode": "Listed", "drivers": [{"name": "disks.example.kz", "country": "KZ"}]})

    def test_collectors_of_logs_are_listed_and_the_platform_says_which(self):
        for document in objects("full", "SovereigntyStandard"):
            logs = document["spec"]["logs"]
            self.assertEqual((logs["mode"], [collector["country"] for collector in logs["collectors"]]), ("Reported", ["KZ"]))

    def test_they_are_refused_where_they_would_be_left_out(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("rendering: {unknownKinds: LeaveOut}")
            file.flush()
            outcome = helm(CHART / "ci/full.yaml", file.name, kinds=())
        self.assertNotEqual(outcome.returncode, 0)
        self.assertIn("install without them, then upgrade with them", outcome.stderr)

    def test_each_says_where_its_controls_come_from(self):
        for document in objects("full", "SovereigntyStandard"):
            self.assertTrue(document["spec"]["controls"])
            for control in document["spec"]["controls"]:
                with self.subTest(standard=document["metadata"]["name"], control=control["id"]):
                    # nobody here has read the laws themselves
                    self.assertTrue(control["source"].endswith("; read through secondary sources"))
                    self.assertIn("reviewedAt", control)


class Admission(unittest.TestCase):
    EXCLUDED = {"kube-system", "kube-public", "kube-node-lease", "cert-manager", "shekara-system"}

    def test_pods_that_nobody_covers_never_depend_on_the_webhook(self):
        configuration = named("minimal", "MutatingWebhookConfiguration", "zz-shekara-sidecar-injector")
        self.assertEqual(len(configuration["webhooks"]), 2)
        for webhook in configuration["webhooks"]:
            self.assertEqual(webhook["failurePolicy"], "Ignore")
            self.assertLessEqual(webhook["timeoutSeconds"], 5)
            self.assertEqual((webhook["reinvocationPolicy"], webhook["matchPolicy"]), ("IfNeeded", "Equivalent"))
            excluded = [term for term in webhook["namespaceSelector"]["matchExpressions"] if term["key"] == "kubernetes.io/metadata.name"]
            self.assertEqual((excluded[0]["operator"], set(excluded[0]["values"])), ("NotIn", self.EXCLUDED))
        protected, annotated = configuration["webhooks"]
        self.assertEqual(protected["namespaceSelector"]["matchLabels"], {"shekara.dev/protect": "true"})
        asks = annotated["matchConditions"][0]["expression"]
        self.assertIn("has(object.metadata.annotations)", asks)
        for annotation in ("shekara.dev/holding", "shekara.dev/data"):
            self.assertIn(f'"{annotation}" in object.metadata.annotations', asks)
        # a draft is made for a pod, and for a dry run none
        self.assertEqual({webhook["sideEffects"] for webhook in configuration["webhooks"]}, {"NoneOnDryRun"})

    def test_pods_that_say_what_they_hold_do_not_start_bare(self):
        policy = named("minimal", "ValidatingAdmissionPolicy", "shekara-annotated-pods")["spec"]
        asks = next(condition["expression"] for condition in policy["matchConditions"] if condition["name"] == "asks")
        self.assertIn('"shekara.dev/data" in object.metadata.?annotations.orValue({})', asks)
        for validation in policy["validations"]:
            self.assertIn("the annotation shekara.dev/data of the pod says that it holds", validation["messageExpression"])

    def test_the_operator_creates_drafts_and_changes_no_holding(self):
        rules = named("minimal", "ClusterRole", "shekara-operator")["rules"]
        verbs = {verb for rule in rules if "dataholdings" in rule.get("resources", []) for verb in rule["verbs"]}
        self.assertEqual(verbs, {"get", "list", "watch", "create"})
        policy = named("minimal", "ValidatingAdmissionPolicy", "shekara-drafts")["spec"]
        self.assertEqual(policy["matchConstraints"]["resourceRules"][0]["operations"], ["CREATE"])
        for part in ('startsWith("draft-")', "shekara.dev/draft", "transfers", "inCluster", "clusterAPI"):
            self.assertIn(part, policy["validations"][0]["expression"])

    def test_every_policy_is_bound_and_fails_closed(self):
        policies = {policy["metadata"]["name"]: policy["spec"] for policy in objects("minimal", "ValidatingAdmissionPolicy")}
        self.assertEqual(set(policies), {"shekara-covered-pods", "shekara-annotated-pods", "shekara-fixed-pods", "shekara-exec", "shekara-access", "shekara-node-access", "shekara-narrowing", "shekara-tokens", "shekara-files", "shekara-drafts", "shekara-restarts", "shekara-genuine-pods", "shekara-reserved-names", "shekara-claims"})
        self.assertEqual({name for name, spec in policies.items() if spec["failurePolicy"] != "Fail"}, {"shekara-node-access"})
        bindings = objects("minimal", "ValidatingAdmissionPolicyBinding")
        self.assertEqual({binding["spec"]["policyName"] for binding in bindings}, set(policies))
        self.assertEqual([binding["spec"]["validationActions"] for binding in bindings], [["Deny"]] * len(bindings))
        # a policy with parameters fails as a whole while its kind or its object is unknown, before any condition is asked, so it sees
        # protected namespaces or covered pods alone
        for name, spec in policies.items():
            matches = spec["matchConstraints"]
            if "paramKind" in spec and spec["failurePolicy"] == "Fail":
                protected = matches.get("namespaceSelector", {}).get("matchLabels") == {"shekara.dev/protect": "true"}
                covered = matches.get("objectSelector", {}).get("matchLabels") == {"shekara.dev/covered": "true"}
                self.assertTrue(protected or covered, name)

    def test_the_operator_may_write_its_own_configmaps_and_no_others(self):
        expression = named("minimal", "ValidatingAdmissionPolicy", "shekara-files")["spec"]["validations"][0]["expression"]
        self.assertIn('request.name.startsWith("shekara-policy-")', expression)
        own = 'request.namespace == "shekara-system" && (request.name.startsWith("shekara-counts-") || request.name in ["shekara-closed", "shekara-trust"])'
        self.assertIn(own, " ".join(expression.split()))

    def test_the_operator_restarts_workloads_and_changes_nothing_else_of_them(self):
        rules = named("minimal", "ClusterRole", "shekara-operator")["rules"]
        verbs = [verb for rule in rules if "deployments" in rule.get("resources", []) for verb in rule["verbs"]]
        self.assertEqual(sorted(verbs), ["get", "list", "patch", "watch"])
        policy = named("minimal", "ValidatingAdmissionPolicy", "shekara-restarts")["spec"]
        self.assertEqual(set(policy["matchConstraints"]["resourceRules"][0]["resources"]), {"deployments", "statefulsets", "daemonsets"})
        for part in ("spec.template.spec ==", "spec.selector ==", "replicas", "labels", "variables.told.all(", "variables.tells.all("):
            self.assertIn(part, policy["validations"][0]["expression"])

    def test_what_is_in_a_namespace_that_ends_may_end(self):
        # match conditions are not told of the namespace, so it must be asked for in the validations
        policy = named("minimal", "ValidatingAdmissionPolicy", "shekara-narrowing")["spec"]
        self.assertNotIn("namespaceObject", str(policy["matchConditions"]))
        self.assertIn("variables.ending", policy["validations"][0]["expression"])

    def test_a_covered_pod_goes_on_saying_what_it_holds(self):
        validations = named("minimal", "ValidatingAdmissionPolicy", "shekara-fixed-pods")["spec"]["validations"]
        rule = next(rule["expression"] for rule in validations if "shekara.dev/data" in rule["message"])
        says = 'metadata.?annotations[?"shekara.dev/data"].hasValue()'
        self.assertEqual(" ".join(rule.split()), f"!oldObject.{says} || object.{says}")

    def test_what_is_declared_becomes_no_draft_again(self):
        validations = named("minimal", "ValidatingAdmissionPolicy", "shekara-narrowing")["spec"]["validations"]
        rule = next(rule["expression"] for rule in validations if rule["message"].startswith("metadata.labels[shekara.dev/draft]"))
        label = 'metadata.?labels[?"shekara.dev/draft"].orValue("")'
        self.assertEqual(" ".join(rule.split()), f'variables.deleted || object.{label} != "true" || oldObject.{label} == "true"')

    def test_the_policy_asks_for_the_image_that_is_injected(self):
        for case in ("minimal", "full"):
            image = yaml.safe_load((CHART / "ci" / f"{case}.yaml").read_text())["images"]["sidecar"]
            for policy in ("shekara-covered-pods", "shekara-annotated-pods"):
                variables = named(case, "ValidatingAdmissionPolicy", policy)["spec"]["variables"]
                genuine = next(variable["expression"] for variable in variables if variable["name"] == "genuine")
                self.assertIn(f'== "{image}"', genuine)


class Values(unittest.TestCase):
    def test_every_value_is_documented(self):
        lines = (CHART / "values.yaml").read_text().splitlines()
        for number, line in enumerate(lines):
            if re.match(r"  [a-zA-Z]+:", line):
                self.assertTrue(lines[number - 1].strip().startswith("#"), f"line {number + 1}")

    def test_bad_values_are_refused(self):
        for bad in yaml.safe_load((pathlib.Path(__file__).parent / "bad-values.yaml").read_text()):
            with self.subTest(bad["values"]), tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                yaml.safe_dump(bad["values"], file)
                file.flush()
                outcome = helm(CHART / "ci/minimal.yaml", file.name)
                self.assertNotEqual(outcome.returncode, 0, "these values were taken")
                self.assertIn(bad["says"], outcome.stderr)

    def test_nothing_said_names_what_is_missing(self):
        outcome = helm()
        self.assertNotEqual(outcome.returncode, 0)
        for path in ("/images/operator", "/images/sidecar", "/cluster/networks"):
            self.assertIn(path, outcome.stderr)


if __name__ == "__main__":
    unittest.main()

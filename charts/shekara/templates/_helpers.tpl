{{/* The labels of everything that the chart makes. */}}
{{- define "shekara.labels" -}}
{{ include "shekara.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: shekara
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* The labels of the operator's pod. */}}
{{- define "shekara.selector" -}}
app.kubernetes.io/name: shekara
app.kubernetes.io/component: operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Namespaces that admission never looks at: the cluster's own, the operator's, and the one whose certificates others wait for. */}}
{{- define "shekara.excludedNamespaces" -}}
- kube-system
- kube-public
- kube-node-lease
- cert-manager
- {{ .Release.Namespace }}
{{- end }}

{{/* Selects namespaces whose pods are matched against their holdings. */}}
{{- define "shekara.protectedNamespaces" -}}
matchLabels: {shekara.dev/protect: "true"}
matchExpressions:
- key: kubernetes.io/metadata.name
  operator: NotIn
  values:
  {{- include "shekara.excludedNamespaces" . | nindent 2 }}
{{- end }}

{{/* CEL: pods of the kubelet itself, which it runs whatever the API server says. */}}
{{- define "shekara.notStatic" -}}
!("kubernetes.io/config.mirror" in object.metadata.?annotations.orValue({}) && "system:nodes" in request.userInfo.?groups.orValue([]))
{{- end }}

{{/* What may stand in a policy's expressions: the parts of the pod, and whether its containers are as they are to be. */}}
{{- define "shekara.podVariables" -}}
- name: labels
  expression: object.metadata.?labels.orValue({})
- name: annotations
  expression: object.metadata.?annotations.orValue({})
- name: first
  expression: object.spec.?initContainers.orValue([])
- name: placed
  expression: >-
    size(variables.first) >= 3 && variables.first[0].name == "shekara-init" && variables.first[1].name == "shekara-proxy" &&
    variables.first[2].name == "shekara-verify" && variables.first[1].?restartPolicy.orValue("") == "Always"
# until when the pod observes, if it does: told to all three alike
- name: observe
  expression: >-
    variables.placed ? variables.first[1].?env.orValue([]).filter(variable, variable.name == "SHEKARA_OBSERVE_UNTIL") : []
# one that bears our names is ours: image, command, capabilities, no files from elsewhere, no other commands
- name: genuine
  expression: >-
    variables.placed && size(variables.observe) <= 1 && variables.observe.all(variable, has(variable.value)) && [0, 1, 2].all(index, variables.first[index].?image.orValue("") == {{ .Values.images.sidecar | quote }} &&
    variables.first[index].?command.orValue([]) == [["/shekara-sidecar", "init"], ["/shekara-sidecar", "run"], ["/shekara-sidecar", "verify"]][index] &&
    variables.first[index].?securityContext.capabilities.add.orValue([]) == [["NET_ADMIN"], ["NET_RAW"], []][index] &&
    variables.first[index].?securityContext.runAsUser.orValue(-1) == [0, 0, 65532][index] &&
    !variables.first[index].?securityContext.privileged.orValue(false) &&
    variables.first[index].?volumeMounts.orValue([]).all(mount, !has(mount.subPath) && !has(mount.subPathExpr) &&
    (mount.mountPath == "/var/run/secrets/kubernetes.io/serviceaccount" || (index == 1 &&
    [mount.mountPath, mount.name] in [["/var/run/secrets/shekara.dev", "shekara-token"], ["/var/run/shekara.dev/policy", "shekara-policy"]]))) &&
    !has(variables.first[index].args) && !has(variables.first[index].lifecycle) && !has(variables.first[index].envFrom) &&
    (index == 1 || variables.first[index].?env.orValue([]).filter(variable, index != 0 || variable.name != "SHEKARA_UDP") == variables.observe))
# what the proxy is told, and where each of it comes from; what varies from pod to pod is signed, or names what is
- name: told
  expression: >-
    variables.placed && variables.first[1].?env.orValue([]).all(variable, has(variable.value) ?
    variable.name in ["SHEKARA_POLICY_API", "SHEKARA_POLICY_CA", "SHEKARA_ROOT", "SHEKARA_NAMESPACE_UID", "SHEKARA_DOCUMENTS", "SHEKARA_KEY_SET",
    "SHEKARA_RESOLVERS", "SHEKARA_LOG", "SHEKARA_LIMITS", "SHEKARA_HOLDINGS", "SHEKARA_OBSERVE_UNTIL", "SHEKARA_UDP", "SHEKARA_PROBES"] ||
    [variable.name, variable.value] in [["SHEKARA_FILES", "/var/run/shekara.dev/policy"], ["SHEKARA_TOKEN", "/var/run/secrets/shekara.dev/token"],
    ["SHEKARA_GEO", "/geo"], ["SHEKARA_POD", "$(POD_NAMESPACE)/$(POD_NAME)"]] :
    [variable.name, variable.?valueFrom.fieldRef.fieldPath.orValue("")] in [["POD_NAMESPACE", "metadata.namespace"], ["POD_NAME", "metadata.name"],
    ["SHEKARA_NODE", "status.hostIPs"]]) &&
    size(variables.first[1].?env.orValue([])) == size(variables.first[1].?env.orValue([]).map(variable, variable.name).filter(name,
    size(variables.first[1].env.filter(variable, variable.name == name)) == 1))
# the volumes of our names hold the token of the pod, and the documents beside the holdings, and nothing else
- name: filed
  expression: >-
    object.spec.?volumes.orValue([]).all(volume,
    (volume.name != "shekara-token" || (size(volume.?projected.sources.orValue([])) == 1 &&
    volume.projected.sources.all(source, source.?serviceAccountToken.audience.orValue("") == "shekara"))) &&
    (volume.name != "shekara-policy" || (has(volume.projected) && volume.projected.?sources.orValue([]).all(source,
    source.?configMap.name.orValue("").startsWith("shekara-policy-")))))
- name: injected
  expression: >-
    variables.genuine && variables.told && variables.filed && variables.first[1].?env.orValue([]).filter(variable, variable.name == "SHEKARA_POLICY_API")
    .map(variable, variable.?value.orValue("")) == [{{ printf "shekara-policy.%s.svc.%s:8443" .Release.Namespace .Values.cluster.domain | quote }}] &&
    ["SHEKARA_ROOT", "SHEKARA_NAMESPACE_UID", "SHEKARA_DOCUMENTS"].all(name,
    variables.first[1].?env.orValue([]).filter(variable, variable.name == name && size(variable.?value.orValue("")) > 0).size() == 1) &&
    variables.first[1].?env.orValue([]).exists(variable, variable.name == "SHEKARA_ROOT" && variable.?value.orValue("").matches("^[0-9a-f]{64}$"))
- name: applications
  expression: >-
    object.spec.containers + variables.first.filter(container, !(container.name in ["shekara-init", "shekara-proxy", "shekara-verify"]))
- name: confined
  expression: >-
    variables.applications.all(container,{{ include "shekara.confined" . | nindent 4 }})
- name: apart
  expression: >-
    !object.spec.?hostNetwork.orValue(false) && !object.spec.?hostPID.orValue(false) && !object.spec.?hostIPC.orValue(false) &&
    !object.spec.?shareProcessNamespace.orValue(false) &&
    object.spec.?volumes.orValue([]).all(volume, !has(volume.hostPath)) &&
    variables.applications.all(container, container.?ports.orValue([]).all(port, port.?hostPort.orValue(0) == 0))
{{- end }}

{{/* CEL, of a variable `container`: it can neither change the packet filter nor bear the mark of the sidecar's sockets. */}}
{{- define "shekara.confined" -}}
!container.?securityContext.privileged.orValue(false) &&
(container.?securityContext.capabilities.drop.orValue([]).exists(name, name == "ALL") ||
["NET_ADMIN", "NET_RAW", "SYS_ADMIN"].all(name, container.?securityContext.capabilities.drop.orValue([]).exists(dropped, dropped == name))) &&
container.?securityContext.capabilities.add.orValue([]).all(added, added in ["AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "IPC_LOCK", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT", "SYS_NICE", "SYS_RESOURCE"])
{{- end }}

{{/* CEL, of a variable `volume`: it has a token by which its holder speaks for the sidecar. */}}
{{- define "shekara.speaksForSidecar" -}}
(dyn(volume.?projected.sources.orValue([])) != null && volume.?projected.sources.orValue([]).exists(source, source.?serviceAccountToken.audience.orValue("") == "shekara"))
{{- end }}

{{/* The checks of a covered pod; the dictionary has `when` (CEL: whom they concern; all when absent) and `who` (a CEL string: why). */}}
{{- define "shekara.podValidations" -}}
- expression: "{{ with .when }}!{{ . }} || {{ end }}variables.injected"
  messageExpression: >-
    {{ .who }} + ", and does not have the sidecar of Shekara before all its containers: the operator that puts it in did not answer, or something took it out (kubectl -n {{ .namespace }} get pods)"
  reason: Forbidden
- expression: "{{ with .when }}!{{ . }} || {{ end }}variables.labels[?'shekara.dev/covered'].orValue('') == 'true'"
  messageExpression: >-
    {{ .who }} + ", and lacks the label shekara.dev/covered: something took it away"
  reason: Forbidden
- expression: "{{ with .when }}!{{ . }} || {{ end }}variables.confined"
  messageExpression: >-
    {{ .who }} + ": none of its own containers may be privileged, keep NET_ADMIN, NET_RAW or SYS_ADMIN, or add a capability that reaches the network or the node"
  reason: Forbidden
- expression: "{{ with .when }}!{{ . }} || {{ end }}variables.apart"
  messageExpression: >-
    {{ .who }} + ": it may not share the network, processes or memory of the node or of its containers, mount the node's files, or have a port of the node"
  reason: Forbidden
{{- end }}

{{/* CEL, of a standard as parameter: whether it lists who may reach into pods, and whether it lists whoever asks. */}}
{{- define "shekara.accessVariables" -}}
- name: listed
  expression: params.spec.?access.?mode.orValue("Open") == "Listed"
- name: groups
  expression: params.spec.?access.?groups.orValue([])
- name: known
  expression: >-
    request.userInfo.?groups.orValue([]).exists(group, group in variables.groups) ||
    params.spec.?access.?serviceAccounts.orValue([]).exists(account,
    request.userInfo.?username.orValue("") == "system:serviceaccount:" + account.replace("/", ":"))
- name: allowed
  expression: >-
    size(variables.groups) == 0 ? "nobody" : "only the groups " + variables.groups.join(", ")
{{- end }}

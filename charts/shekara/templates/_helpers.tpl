{{/* The labels of everything that the chart makes. */}}
{{- define "shekara.labels" -}}
{{ include "shekara.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: shekara
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* Whether an object of a kind that may be unknown to the cluster is rendered; of the list (root, "group/version/Kind"). */}}
{{- define "shekara.renders" -}}
{{- $root := index . 0 }}
{{- if or (eq $root.Values.rendering.unknownKinds "Render") ($root.Capabilities.APIVersions.Has (index . 1)) }}true{{ end }}
{{- end }}

{{/* The labels of the operator's pod. */}}
{{- define "shekara.selector" -}}
app.kubernetes.io/name: shekara
app.kubernetes.io/component: operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The Secret from which the certificate authority comes; nothing where the operator makes it. */}}
{{- define "shekara.authoritySecret" -}}
{{- if eq .Values.authority.source "CertManager" }}shekara-authority{{ else }}{{ .Values.authority.secret }}{{ end }}
{{- end }}

{{/* The labels of what is on every node. */}}
{{- define "shekara.nodeLabels" -}}
{{ include "shekara.nodeSelector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: shekara
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* The labels of the agents' pods. */}}
{{- define "shekara.nodeSelector" -}}
app.kubernetes.io/name: shekara
app.kubernetes.io/component: node
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* What the containers on a node may: write root's files, and nothing else. */}}
{{- define "shekara.nodeSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
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
# the node sets the packet filter of a pod that asks for it by this annotation; no container does then
- name: byNode
  expression: {{ if eq .Values.enforcement.filter "Init" }}"false"{{ else }}variables.annotations[?"shekara.dev/packet-filter"].hasValue(){{ end }}
- name: ours
  expression: >-
    variables.byNode ? ["shekara-proxy", "shekara-verify"] : ["shekara-init", "shekara-proxy", "shekara-verify"]
# the place of the proxy
- name: at
  expression: size(variables.ours) - 2
- name: placed
  expression: >-
    size(variables.first) >= size(variables.ours) &&
    [0, 1, 2].all(index, index >= size(variables.ours) || variables.first[index].name == variables.ours[index]) &&
    variables.first[variables.at].?restartPolicy.orValue("") == "Always"
# by which user the packet filter knows the sidecar, if by one
- name: user
  expression: >-
    variables.placed ? variables.first[variables.at].?env.orValue([]).filter(variable, variable.name == "SHEKARA_USER")
    .map(variable, variable.?value.orValue("")) : []
# until when the pod observes, if it does: told to all three alike
- name: observe
  expression: >-
    variables.placed ? variables.first[variables.at].?env.orValue([]).filter(variable, variable.name == "SHEKARA_OBSERVE_UNTIL") : []
# The node does what the annotation says: it is what the containers were told, to the letter as admission writes it, since JSON has more
# than one way to say a thing.
- name: asked
  expression: variables.annotations[?"shekara.dev/packet-filter"].orValue("{}")
- name: told
  expression: >-
    (variables.user.map(user, "\"user\":" + user) +
    variables.observe.map(variable, "\"observeUntil\":\"" + variable.?value.orValue("") + "\"")).join(",")
- name: asksWhatItIsTold
  expression: >-
    !variables.byNode || variables.asked == "{" + variables.told + "}" ||
    (variables.asked.startsWith("{" + variables.told + (variables.told == "" ? "" : ",") + "\"datagrams\":[") &&
    variables.asked.substring(size(variables.told) + (variables.told == "" ? 1 : 2)).matches("^\"datagrams\":\\[[]\"0-9a-f.:,[]*\\]}$"))
- name: knownByUser
  expression: >-
    variables.placed && variables.byNode && variables.user == ["{{ include "shekara.sidecarUser" . }}"] &&
    variables.first[variables.at].?securityContext.runAsUser.orValue(-1) == {{ include "shekara.sidecarUser" . }} &&
    variables.first[variables.at].?securityContext.capabilities.drop.orValue([]) == ["ALL"] &&
    (object.spec.containers + variables.first).all(container, container.name == "shekara-proxy" || (
    {{- include "shekara.isAnotherUser" . | nindent 4 }}))
- name: knownByMark
  expression: >-
    size(variables.user) == 0
# One that bears our names is ours: image, command, capabilities, no files from elsewhere, no other commands. Packet filter and proof
# say no restartPolicy: with one of their own the kubelet would go on before they have succeeded.
- name: genuine
  expression: >-
    variables.placed && (variables.knownByMark || variables.knownByUser) && variables.asksWhatItIsTold && size(variables.observe) <= 1 && variables.observe.all(variable, has(variable.value)) && [0, 1, 2].all(index, index >= size(variables.ours) || (variables.first[index].?image.orValue("") == {{ .Values.images.sidecar | quote }} &&
    variables.first[index].?command.orValue([]) == ["/shekara-sidecar",
    {"shekara-init": "init", "shekara-proxy": "run", "shekara-verify": "verify"}[variables.ours[index]]] &&
    variables.first[index].?securityContext.capabilities.add.orValue([]) == (index == variables.at ? (variables.byNode ? [] : ["NET_RAW"]) :
    variables.ours[index] == "shekara-init" ? ["NET_ADMIN"] : []) &&
    (index == variables.at && size(variables.user) > 0 ? variables.knownByUser :
    variables.first[index].?securityContext.runAsUser.orValue(-1) == (variables.ours[index] == "shekara-verify" ? 65532 : 0)) &&
    (index == variables.at || !has(variables.first[index].restartPolicy)) &&
    variables.first[index].?securityContext.seccompProfile.type.orValue("") == "RuntimeDefault" &&
    variables.first[index].?securityContext.appArmorProfile.type.orValue("RuntimeDefault") == "RuntimeDefault" &&
    !variables.first[index].?securityContext.privileged.orValue(false) &&
    variables.first[index].?volumeMounts.orValue([]).all(mount, !has(mount.subPath) && !has(mount.subPathExpr) &&
    (mount.mountPath == "/var/run/secrets/kubernetes.io/serviceaccount" || (index == variables.at &&
    [mount.mountPath, mount.name] in [["/var/run/secrets/shekara.dev", "shekara-token"], ["/var/run/shekara.dev/policy", "shekara-policy"]]))) &&
    !has(variables.first[index].args) && !has(variables.first[index].lifecycle) && !has(variables.first[index].envFrom) &&
    !has(variables.first[index].volumeDevices) && !has(variables.first[index].workingDir) &&
    [variables.first[index].?startupProbe, variables.first[index].?livenessProbe, variables.first[index].?readinessProbe].all(probe,
    probe.?exec.command.orValue(["/shekara-sidecar", "ready"]) == ["/shekara-sidecar", "ready"]) &&
    (index == variables.at || variables.first[index].?env.orValue([])
    .filter(variable, variables.ours[index] != "shekara-init" || variable.name != "SHEKARA_UDP") == variables.observe)))
# what the proxy is told, and where each of it comes from; what varies from pod to pod is signed, or names what is
- name: toldRightly
  expression: >-
    variables.placed && variables.first[variables.at].?env.orValue([]).all(variable, has(variable.value) ?
    variable.name in ["SHEKARA_POLICY_API", "SHEKARA_POLICY_CA", "SHEKARA_ROOT", "SHEKARA_NAMESPACE_UID", "SHEKARA_DOCUMENTS", "SHEKARA_KEY_SET",
    "SHEKARA_RESOLVERS", "SHEKARA_LOG", "SHEKARA_LIMITS", "SHEKARA_HOLDINGS", "SHEKARA_OBSERVE_UNTIL", "SHEKARA_UDP", "SHEKARA_PROBES", "SHEKARA_USER"] ||
    [variable.name, variable.value] in [["SHEKARA_FILES", "/var/run/shekara.dev/policy"], ["SHEKARA_TOKEN", "/var/run/secrets/shekara.dev/token"],
    ["SHEKARA_GEO", "/geo"], ["SHEKARA_POD", "$(POD_NAMESPACE)/$(POD_NAME)"]] :
    [variable.name, variable.?valueFrom.fieldRef.fieldPath.orValue("")] in [["POD_NAMESPACE", "metadata.namespace"], ["POD_NAME", "metadata.name"],
    ["SHEKARA_NODE", "status.hostIPs"]]) &&
    size(variables.first[variables.at].?env.orValue([])) == size(variables.first[variables.at].?env.orValue([]).map(variable, variable.name).filter(name,
    size(variables.first[variables.at].env.filter(variable, variable.name == name)) == 1))
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
    variables.genuine && variables.toldRightly && variables.filed && variables.first[variables.at].?env.orValue([]).filter(variable, variable.name == "SHEKARA_POLICY_API")
    .map(variable, variable.?value.orValue("")) == [{{ printf "shekara-policy.%s.svc.%s:8443" .Release.Namespace .Values.cluster.domain | quote }}] &&
    ["SHEKARA_ROOT", "SHEKARA_NAMESPACE_UID", "SHEKARA_DOCUMENTS"].all(name,
    variables.first[variables.at].?env.orValue([]).filter(variable, variable.name == name && size(variable.?value.orValue("")) > 0).size() == 1) &&
    variables.first[variables.at].?env.orValue([]).exists(variable, variable.name == "SHEKARA_ROOT" && variable.?value.orValue("").matches("^[0-9a-f]{64}$"))
- name: applications
  expression: >-
    object.spec.containers + variables.first.filter(container, !(container.name in variables.ours))
- name: confined
  expression: >-
    variables.applications.all(container,{{ include "shekara.confined" . | nindent 4 }})
- name: apart
  expression: >-
    !object.spec.?hostNetwork.orValue(false) && !object.spec.?hostPID.orValue(false) && !object.spec.?hostIPC.orValue(false) &&
    !object.spec.?shareProcessNamespace.orValue(false) &&
    object.spec.?securityContext.seccompProfile.type.orValue("Unconfined") != "Unconfined" &&
    object.spec.?volumes.orValue([]).all(volume, !has(volume.hostPath)) &&
    (object.spec.containers + variables.first).all(container, container.?ports.orValue([]).all(port, port.?hostPort.orValue(0) == 0))
{{- end }}

{{/* CEL, of a variable `container`: it can neither change the packet filter nor bear the mark of the sidecar's sockets. */}}
{{- define "shekara.confined" -}}
!container.?securityContext.privileged.orValue(false) &&
container.?securityContext.procMount.orValue("Default") == "Default" &&
container.?securityContext.seccompProfile.type.orValue("") != "Unconfined" &&
(container.?securityContext.capabilities.drop.orValue([]).exists(name, name == "ALL") ||
["NET_ADMIN", "NET_RAW", "SYS_ADMIN"].all(name, container.?securityContext.capabilities.drop.orValue([]).exists(dropped, dropped == name))) &&
container.?securityContext.capabilities.add.orValue([]).all(added, added in ["AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "IPC_LOCK", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT", "SYS_NICE", "SYS_RESOURCE"])
{{- end }}

{{/* The user by whom packet filters know sidecars that may set no mark (crds/src/injection/setting.rs). */}}
{{- define "shekara.sidecarUser" -}}
65533
{{- end }}

{{/* CEL, of a variable `container` of a pod whose sidecar is known by its user: it says that it is another one, and cannot become that one. */}}
{{- define "shekara.isAnotherUser" -}}
!([0, {{ include "shekara.sidecarUser" . }}].exists(user, user == container.?securityContext.runAsUser.orValue(object.spec.?securityContext.runAsUser.orValue(0)))) &&
!container.?securityContext.allowPrivilegeEscalation.orValue(true) &&
container.?securityContext.capabilities.drop.orValue([]).exists(name, name == "ALL") &&
container.?securityContext.capabilities.add.orValue([]).all(name, name == "NET_BIND_SERVICE")
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
    {{ .who }} + ": none of its own containers may be privileged, go without seccomp, unmask /proc, keep NET_ADMIN, NET_RAW or SYS_ADMIN, or add a capability that reaches the network or the node"
  reason: Forbidden
- expression: "{{ with .when }}!{{ . }} || {{ end }}variables.apart"
  messageExpression: >-
    {{ .who }} + ": it may not share the network, processes or memory of the node or of its containers, go without seccomp, mount the node's files, or have a port of the node"
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

{{- define "rerankd.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  {{- if not (kindIs "invalid" .Values.security.runAsUser) }}
  runAsUser: {{ int64 .Values.security.runAsUser }}
  runAsGroup: {{ int64 .Values.security.runAsUser }}
  {{- end }}
  {{- if not (kindIs "invalid" .Values.security.fsGroup) }}
  fsGroup: {{ int64 .Values.security.fsGroup }}
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "rerankd.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{- /* A Service called rerankd would otherwise add RERANKD_PORT and others, which are no settings. */ -}}
{{- define "rerankd.podBase" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{ include "rerankd.podSecurity" . }}
{{- end }}

{{- define "rerankd.resources" -}}
{{- $resources := deepCopy .Values.resources }}
{{- if .Values.gpu.enabled }}
{{- $limits := get $resources "limits" | default dict }}
{{- $_ := set $limits .Values.gpu.resource (int .Values.gpu.count) }}
{{- $_ := set $resources "limits" $limits }}
{{- end }}
{{- toYaml $resources }}
{{- end }}

{{- define "rerankd.mounts" -}}
{{- $readOnly := .readOnly }}
{{- with .context.Values }}
- { name: tmp, mountPath: /tmp }
{{- if ne .model.storage "image" }}
- { name: models, mountPath: /models, readOnly: {{ $readOnly }} }
{{- end }}
{{- if ne .engines.storage "image" }}
- { name: engines, mountPath: /engines }
{{- end }}
{{- end }}
{{- end }}

{{- define "rerankd.volumes" -}}
- name: tmp
  emptyDir: {}
{{- range $name, $volume := dict "models" .Values.model "engines" .Values.engines }}
{{- if eq $volume.storage "pod" }}
- name: {{ $name }}
  emptyDir: {}
{{- else if eq $volume.storage "claim" }}
- name: {{ $name }}
  persistentVolumeClaim: { claimName: {{ $volume.claim }} }
{{- end }}
{{- end }}
{{- end }}

{{- define "rerankd.keysVolume" -}}
{{- if include "rerankd.apiKeys" . }}
- name: keys
  secret:
    secretName: {{ .Values.keys.existingSecret }}
    items: [{ key: {{ .Values.keys.fromSecret.api_keys }}, path: api-keys }]
    defaultMode: 288 # 0440
{{- end }}
{{- end }}

{{- define "rerankd.keysMount" -}}
{{- if include "rerankd.apiKeys" . }}
- { name: keys, mountPath: /run/secrets/rerankd, readOnly: true }
{{- end }}
{{- end }}

{{- /* Whether callers need a key; empty if not. */ -}}
{{- define "rerankd.apiKeys" -}}
{{- if .Values.keys.existingSecret }}{{ get .Values.keys.fromSecret "api_keys" }}{{ end }}
{{- end }}

{{- /* Of the Secret in the cluster. A tool that renders without a cluster finds none. */ -}}
{{- define "rerankd.keysChecksum" -}}
{{- if .Values.keys.existingSecret }}
{{- if .Values.keys.checksum }}{{ .Values.keys.checksum }}
{{- else }}
{{- with lookup "v1" "Secret" .Release.Namespace .Values.keys.existingSecret }}{{ .data | toJson | sha256sum }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "rerankd.tolerations" -}}
{{- $tolerations := .Values.tolerations }}
{{- if and .Values.gpu.enabled .Values.gpu.tolerate }}
{{- $tolerations = append $tolerations (dict "key" .Values.gpu.resource "operator" "Exists" "effect" "NoSchedule") }}
{{- end }}
{{- if $tolerations }}
{{- toYaml $tolerations }}
{{- end }}
{{- end }}

{{- define "rerankd.prepareContainer" -}}
name: prepare
image: {{ include "rerankd.image" (dict "context" . "variant" (.Values.prepare.variant | default (include "rerankd.variant" .))) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [sh, -c]
args:
  - |
    {{- .Files.Get "files/prepare.sh" | nindent 4 }}
env:
  {{- include "rerankd.env.model" . | nindent 2 }}
  - name: RERANKD_OFFLINE
    value: {{ not .Values.prepare.download | quote }}
  {{- if .Values.gpu.enabled }}
  - name: PREPARE_FOR
    value: gpu
  {{- end }}
  {{- with .Values.prepare.tokenSecret }}
  - name: HF_TOKEN
    valueFrom:
      secretKeyRef: { name: {{ . }}, key: {{ $.Values.prepare.tokenKey }} }
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources: {{ toYaml .Values.resources | nindent 2 }}
{{ include "rerankd.containerSecurity" . }}
volumeMounts:
  {{- include "rerankd.mounts" (dict "context" . "readOnly" false) | nindent 2 }}
{{- end }}

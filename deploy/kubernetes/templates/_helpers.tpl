{{- define "pricing.name" -}}
{{- contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- /* Takes (list root component). */}}
{{- define "pricing.selector" -}}
app.kubernetes.io/name: {{ (index . 0).Chart.Name }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "pricing.labels" -}}
{{ include "pricing.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end }}

{{- define "pricing.image" -}}
{{- with .Values.image }}{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}{{ end }}
{{- end }}

{{- /* What Pod Security `restricted` asks of a pod, and no token and no variables of the cluster's Services. */}}
{{- define "pricing.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
volumes:
  - name: tmp
    emptyDir: {sizeLimit: 256Mi}
{{- end }}

{{- define "pricing.container" -}}
image: {{ include "pricing.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
{{- end }}

{{- /* Takes (list root names): variables from the Secret; those that end with ? may be missing there. */}}
{{- define "pricing.secrets" -}}
{{- $root := index . 0 }}
{{- range index . 1 }}
- name: {{ trimSuffix "?" . }}
  valueFrom:
    secretKeyRef: {name: {{ $root.Values.existingSecret }}, key: {{ trimSuffix "?" . }}, optional: {{ hasSuffix "?" . }}}
{{- end }}
{{- end }}

{{- define "pricing.env" -}}
{{- include "pricing.secrets" (list . (list "PRICING_DATABASE_URL" "PRICING_REDIS_URL" "PRICING_DATABASE_DIRECT_URL?" "PRICING_CACHE_URL?" "PRICING_BROKER_URL?" "PRICING_EVENTS_URL?" "PRICING_FEED_KEY?" "PRICING_OFFER_KEYS?")) }}
{{- $chosen := dict "PRICING_DRAIN_TIMEOUT_S" .Values.drainTimeoutSeconds "PRICING_API_PROCESSES" .Values.api.processes "PRICING_WORKER_PROCESSES" .Values.worker.processes "PRICING_WORKER_THREADS" .Values.worker.threads }}
{{- if not (hasKey .Values.settings "OTEL_EXPORTER_OTLP_ENDPOINT") }}
{{- $_ := set $chosen "OTEL_TRACES_EXPORTER" "none" }}
{{- end }}
{{- range $name, $value := merge (deepCopy .Values.settings) $chosen }}
- {name: {{ $name }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- end }}

{{- define "pricing.migration" -}}
{{ include "pricing.container" . }}
command: [python, -m, shared.commands, migrate]
env: {{ include "pricing.env" . | nindent 2 }}
{{- include "pricing.secrets" (list . (list "PRICING_ADMIN_KEY")) | nindent 2 }}
resources: {{ toYaml .Values.migration.resources | nindent 2 }}
{{- end }}

